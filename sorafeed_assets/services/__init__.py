"""Services, which combine rules and storage: one service per job, each owning its writes."""
