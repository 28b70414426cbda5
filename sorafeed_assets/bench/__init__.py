"""Benchmarks of the engine beside the system that it replaces.

A benchmark checks its results before it reports times, and measures the code path of production.
Correctness tests do not belong here.
"""
