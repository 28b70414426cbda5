"""The Prometheus metrics of one process."""

from functools import cache
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import Engine, event

from sorafeed_assets.serving.http.gauges import StoredGauges

_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# A player starts the changed queue when the video on screen has ended.
_REACTIONS: Final = (*(0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0), *(5.0, 10.0, 30.0, 60.0))


class Metrics:
    """Counters of requests, queries, cache, queues and connected pages."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "sorafeed_requests", "HTTP requests.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "sorafeed_request_seconds",
            "Time to the end of the answer.",
            ["route"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # A look-up of labels takes a lock, and costs as much as counting.
        self._children = cache(self._children_of)
        self.reactions = Histogram(
            "sorafeed_reaction_seconds",
            "From the commit of a change to the queue, to its event, to the next video started.",
            ["stage"],
            buckets=_REACTIONS,
            registry=self.registry,
        )
        self.queries = Counter(
            "sorafeed_database_queries",
            "Statements sent to PostgreSQL.",
            ["use"],
            registry=self.registry,
        )
        self.operations = Counter(
            "sorafeed_graphql_operations", "GraphQL operations.", ["kind"], registry=self.registry
        )
        self.errors = Counter(
            "sorafeed_graphql_errors", "GraphQL errors by code.", ["code"], registry=self.registry
        )
        self.fallbacks = Counter(
            "sorafeed_next_from_postgres", "Queues read without Redis.", registry=self.registry
        )
        self.late_plays = Counter(
            "sorafeed_late_plays",
            "Plays that players reported late, because no server had answered.",
            registry=self.registry,
        )
        self.cache_hits = self._gauge(
            "sorafeed_answers_from_memory", "Answers from the response cache."
        )
        self.cache_misses = self._gauge("sorafeed_answers_computed", "Answers computed.")
        self.pages = self._gauge("sorafeed_connected_pages", "Pages on the event stream.")
        self.trusted = self._gauge("sorafeed_channel_up", "1 while changes are received.")
        self.known_counts = Histogram(
            "sorafeed_known_count_seconds",
            "Time to read a count that is kept; answers from memory are not included.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.work_succeeded = Gauge(
            "sorafeed_background_last_success_timestamp_seconds",
            "When background work last succeeded.",
            ["work"],
            registry=self.registry,
        )
        self.work_failed = Counter(
            "sorafeed_background_failures",
            "Failures of background work.",
            ["work"],
            registry=self.registry,
        )
        self.stored = StoredGauges()
        self.registry.register(self.stored)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, registry=self.registry)

    def count_queries(self, engine: Engine, use: str) -> None:
        """Count every statement that the engine sends."""
        counter = self.queries.labels(use)

        def count(*_details: object) -> None:
            counter.inc()

        event.listen(engine, "before_cursor_execute", count)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        requests, times = self._children(route, status)
        requests.inc()
        times.observe(seconds)

    def _children_of(self, route: str, status: int) -> tuple[Counter, Histogram]:
        return self.requests.labels(route, str(status)), self.seconds.labels(route)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
