"""SQL that only the benchmarks send; the engine never does."""
