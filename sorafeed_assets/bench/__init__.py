"""Benchmarks of the engine beside the system that it replaces.

A benchmark checks its results before it reports times, and measures the way that production goes.
Tests of correctness do not belong here.
"""
