"""The names of the benchmarks, which the command's help needs before it imports any of them."""

from enum import StrEnum


class Benchmark(StrEnum):
    """The benchmarks; ``all`` means those of the engine, without other processes."""

    COUNTS = "counts"
    TIMELINES = "timelines"
    FLEET = "fleet"
    INGEST = "ingest"
    LINEAGE = "lineage"
    ALL = "all"
    API = "api"
    REACT = "react"
    ROLLBACK = "rollback"
