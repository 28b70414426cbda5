"""SQL of builds, queues, plays and playback states."""
