"""What Prometheus knows of the API's servers as a whole: the requests of each minute, and failures.

Only the figures that a rollout compares are read.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Final

from sorafeed_assets.domain.rollouts.signals import Sample
from sorafeed_assets.storage.prometheus import Prometheus

_MINUTE: Final = timedelta(minutes=1)

# As the objective `availability` of deploy/prometheus/sorafeed.rules.yml counts: a client that went
# away has the status 0, and its mistakes are 4xx.
_REQUESTS: Final = """
sum(increase(sorafeed_requests_total{
    route!~"/healthz|/readyz|/metrics", status!~"0|4.."}[1m]))
"""
_ERRORS: Final = """
(sum(increase(sorafeed_requests_total{
    route!~"/healthz|/readyz|/metrics", status=~"5.."}[1m])) or vector(0))
+ (sum(increase(sorafeed_graphql_errors_total{code=~"INTERNAL|UNAVAILABLE"}[1m])) or vector(0))
"""
QUERY: Final = f"""
label_replace({_REQUESTS}, "figure", "requests", "", "")
or label_replace({_ERRORS}, "figure", "errors", "", "")
"""
"""PromQL: the requests of the last minute, and those that failed at the server."""


def requests_by_minute(prometheus: Prometheus, since: datetime, until: datetime) -> list[Sample]:
    """The API's requests in each whole minute from ``since`` to ``until``, and its failures.

    A minute without figures is missing, as when no server was scraped.

    Raises:
        UnavailableError: Prometheus does not answer, or not as Prometheus does.
    """
    if until - since < _MINUTE:
        return []
    return prometheus.minutes(QUERY, since + _MINUTE, until, _samples)


def _samples(series: list[Mapping[str, Any]]) -> list[Sample]:
    by_figure = {
        each["metric"]["figure"]: {
            at: round(float(value)) for at, value in each["values"] if isfinite(float(value))
        }
        for each in series
    }
    errors = by_figure.get("errors", {})
    # Prometheus extrapolates, each figure for itself.
    return [
        Sample(min(errors.get(at, 0), requests), requests)
        for at, requests in sorted(by_figure.get("requests", {}).items())
    ]
