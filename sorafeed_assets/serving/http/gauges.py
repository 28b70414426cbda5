"""The gauges that a scrape reads from PostgreSQL.

A figure that could not be read is left out: its last value might no longer be true.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.services.timelines.queues import QueueClass
from sorafeed_assets.services.watching import Figures


class StoredGauges(Collector):
    """The figures of the last scrape.

    Attributes:
        figures: of this system's database; None when it did not answer.
        failed_runs: of Dagster's database; None when it did not answer.
        has_dagster: whether the address of Dagster's database is known.
        has_legacy: whether an old system's catalogue is named.
        follows_legacy: whether a part of an old system is named. Its file of queues is often named
            only where it can be read.
        replica_lag: for how long the replica may lack what was committed, in seconds; None without
            one.
    """

    def __init__(self) -> None:
        self.figures: Figures | None = None
        self.failed_runs: int | None = None
        self.has_dagster = False
        self.has_legacy = False
        self.follows_legacy = False
        self.replica_lag: float | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges whose figures are known."""
        figures, failed_runs = self.figures, self.failed_runs
        yield _gauge(
            "sorafeed_database_up", "1 while PostgreSQL answers in time.", figures is not None
        )
        if figures is not None:
            yield from _stored(figures)
            yield from _shadow(figures.shadow)
            # Once nothing is followed any more, its age means nothing.
            if self.has_legacy and figures.stored.legacy_seconds is not None:
                yield _gauge(
                    "sorafeed_legacy_unread_seconds",
                    "How long the old system's catalogue was not read to its end.",
                    figures.stored.legacy_seconds,
                )
            if self.follows_legacy and figures.stored.legacy_queues_seconds is not None:
                yield _gauge(
                    "sorafeed_legacy_queues_unread_seconds",
                    "How long the old system's queues were not read.",
                    figures.stored.legacy_queues_seconds,
                )
        if self.replica_lag is not None:
            yield _gauge(
                "sorafeed_replica_lag_seconds",
                "For how long the replica may lack what was committed.",
                self.replica_lag,
            )
        if self.has_dagster:
            yield _gauge(
                "sorafeed_dagster_up",
                "1 while Dagster's database answers in time.",
                failed_runs is not None,
            )
        if failed_runs is not None:
            yield _gauge(
                "sorafeed_dagster_failed_runs", "Runs that failed in the last hour.", failed_runs
            )


def _stored(figures: Figures) -> Iterator[Metric]:
    stored = figures.stored
    rows = GaugeMetricFamily(
        "sorafeed_waiting_rows", "Rows that wait, counted up to 100,000.", labels=["table"]
    )
    seconds = GaugeMetricFamily(
        "sorafeed_waiting_seconds",
        "Age of the oldest row that waits; 0 if none does.",
        labels=["table"],
    )
    for table, waiting in stored.waiting.items():
        rows.add_metric([table], waiting.rows)
        seconds.add_metric([table], waiting.seconds)
    yield rows
    yield seconds
    displays = GaugeMetricFamily(
        "sorafeed_displays", "Displays by the state of their queue.", labels=["queue"]
    )
    for each in QueueClass:
        displays.add_metric([each.value], getattr(figures.queues, each.value))
    yield displays
    yield _gauge("sorafeed_counts_given_up", "Counts given up after retries.", stored.given_up)
    yield _gauge(
        "sorafeed_plan_problems", "Displays that could not be planned.", stored.plan_problems
    )
    yield _gauge("sorafeed_react_leads", "1 while a react holds the lease.", stored.react_leads)
    yield _gauge(
        "sorafeed_rollouts_rolled_back",
        "Rollouts that were rolled back in the last day.",
        stored.rolled_back,
    )
    yield _gauge(
        "sorafeed_rollout_unevaluated_seconds",
        "How long a rollout was not evaluated; 0 if none runs.",
        stored.rollout_seconds,
    )
    # Where no backup was ever made, there is no schedule whose failure this could show.
    if stored.backup_seconds is not None:
        yield _gauge(
            "sorafeed_backup_age_seconds", "Age of the newest backup.", stored.backup_seconds
        )


def _shadow(outcomes: Mapping[Outcome, int]) -> Iterator[Metric]:
    """Yield the comparisons with an old system, where there is one."""
    if not outcomes:
        return
    comparisons = GaugeMetricFamily(
        "sorafeed_shadow_comparisons",
        "Comparisons with the old system in the days of the gate, by outcome.",
        labels=["outcome"],
    )
    for outcome in Outcome:
        comparisons.add_metric([outcome.value], outcomes.get(outcome, 0))
    yield comparisons


def _gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)
