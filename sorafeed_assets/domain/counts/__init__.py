"""Counting texts and gathering candidate pools. No I/O."""
