"""Measuring the engine beside the system it replaces; every benchmark checks its results first."""
