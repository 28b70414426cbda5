"""Tests of the benchmarks' results, never of their times."""
