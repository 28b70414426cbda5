"""Benchmarks are tested for what they compute, never for how long it takes."""
