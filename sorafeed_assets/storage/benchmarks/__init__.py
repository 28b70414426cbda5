"""SQL that only the benchmarks send."""
