"""SQL of builds, queues and plays."""
