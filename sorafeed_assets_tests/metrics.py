"""Prometheus' text format, read by its own client."""

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its labels, sorted."""


def samples_of(exposed: str) -> dict[Sample, float]:
    """The samples of a scrape."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exposed)
        for sample in family.samples
    }
