"""The files of deploy/: what they say, and that what they start works."""
