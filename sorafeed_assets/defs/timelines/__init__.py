"""What plays next on each display: plans stored, queues published, rebuilt when inputs change."""
