"""Alerts that Prometheus raises, as the pages and `sorafeed status` show them."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

PREFIX: Final = "Sorafeed"
"""What the names of this project's alerts begin with: a Prometheus may have others too."""
_PAGE: Final = "page"


class Alert(NamedTuple):
    """An alert that fires, with a summary of each of its series.

    ``is_urgent``: its severity is ``page``, so that screens or people are affected now.
    """

    name: str
    is_urgent: bool
    summaries: tuple[str, ...]
    since: datetime

    @property
    def section(self) -> str:
        """The anchor of its section in the runbook."""
        return self.name.lower()


class Series(NamedTuple):
    """One of the series for which an alert fires."""

    name: str
    severity: str
    summary: str
    since: datetime


def alerts_of(found: Iterable[Series]) -> tuple[Alert, ...]:
    """This project's alerts, one for each name: the urgent first, then the oldest.

    An alert fires since its first series does, and is as urgent as its worst.
    """
    by_name: dict[str, list[Series]] = {}
    for each in sorted(found, key=lambda each: (each.severity != _PAGE, each.since, each.summary)):
        if each.name.startswith(PREFIX):
            by_name.setdefault(each.name, []).append(each)
    alerts = [
        Alert(
            name,
            any(each.severity == _PAGE for each in series),
            tuple(dict.fromkeys(each.summary for each in series)),
            min(each.since for each in series),
        )
        for name, series in by_name.items()
    ]
    return tuple(sorted(alerts, key=lambda each: (not each.is_urgent, each.since, each.name)))
