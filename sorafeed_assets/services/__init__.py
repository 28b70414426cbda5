"""What takes rules and storage together: one service per job, each owning its writes."""
