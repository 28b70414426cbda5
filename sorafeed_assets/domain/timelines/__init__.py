"""Planning: the order of a loop, its shuffle, its record and its audit. No I/O."""
