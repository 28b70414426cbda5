"""Planning and publishing timelines, advancing queues, and their checks."""
