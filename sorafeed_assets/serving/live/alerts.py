"""What Prometheus said last of this project's alerts, for the overview.

It is asked in the background, so that no page waits for it.
"""

from typing import Final

import structlog

from sorafeed_assets.domain.alerts import Alert
from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.prometheus import prometheus_of

_SECONDS: Final = 2.0

_log: Final = structlog.get_logger(__name__)


class FiringAlerts:
    """The alerts that fire, as one process knows them.

    Attributes:
        firing: the urgent first; none while they are unknown.
        problem: why they are unknown, or None.
    """

    def __init__(self, settings: Settings) -> None:
        self._prometheus = prometheus_of(settings.prometheus_url, _SECONDS)
        self.firing: tuple[Alert, ...] = ()
        self.problem: str | None = None

    @property
    def are_asked_for(self) -> bool:
        """Whether the settings name a Prometheus."""
        return self._prometheus is not None

    def look(self) -> bool:
        """Ask Prometheus, if there is one; True when the answer differs from the last one."""
        before = self.firing, self.problem
        try:
            self.firing = () if self._prometheus is None else self._prometheus.firing()
            self.problem = None
        except UnavailableError as error:
            self.firing, self.problem = (), str(error)
        if self.problem is not None and self.problem != before[1]:
            _log.warning("alerts are unknown", problem=self.problem)
        return (self.firing, self.problem) != before
