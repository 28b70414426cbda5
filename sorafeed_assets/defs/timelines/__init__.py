"""What plays next on each display: stored plans and published queues."""
