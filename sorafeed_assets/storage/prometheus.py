"""A client of Prometheus' HTTP API: figures over time, and the alerts that fire.

Its server scrapes the `/metrics` of every API process; docs/operating.md says how.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Any, Final, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import orjson
from pydantic import HttpUrl

from sorafeed_assets.domain.alerts import Alert, Series, alerts_of
from sorafeed_assets.domain.errors import UnavailableError

SETTING: Final = "SORAFEED_PROMETHEUS_URL"

_SECONDS: Final = 5.0
_LARGEST: Final = 1_000_000  # bytes of an answer: a figure of each minute of hours is much less
_STEP: Final = 60

_Found = TypeVar("_Found")


class _NoRedirects(HTTPRedirectHandler):
    """A redirect is an error: following it would send the password elsewhere."""

    def redirect_request(self, *_details: object) -> None:
        """Follow none."""


class Prometheus:
    """A Prometheus server; a name and a password of its address are sent as HTTP Basic.

    ``seconds`` is how long it may take to answer.
    """

    def __init__(self, url: str, seconds: float = _SECONDS) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._where = f"{host}:{parts.port}" if parts.port else host
        address = parts.netloc.rpartition("@")[2]
        self._base = urlunsplit((parts.scheme, address, parts.path.rstrip("/"), "", ""))
        self._seconds = seconds
        self._headers = {"Accept": "application/json", "User-Agent": "sorafeed"}
        if parts.username is not None:
            known = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(known.encode()).decode()}"

    def firing(self) -> tuple[Alert, ...]:
        """The alerts of this project that fire now.

        Raises:
            UnavailableError: it does not answer, or not as Prometheus does.
        """
        return self._read("alerts", {}, lambda data: alerts_of(map(_series, _firing(data))))

    def minutes(
        self,
        query: str,
        since: datetime,
        until: datetime,
        read: Callable[[list[Mapping[str, Any]]], _Found],
    ) -> _Found:
        """What ``read`` makes of the series of a query, by the minute.

        Raises:
            UnavailableError: it does not answer, or not as Prometheus does.
        """
        values = {
            "query": query,
            "start": since.timestamp(),
            "end": until.timestamp(),
            "step": _STEP,
        }
        return self._read("query_range", values, lambda data: read(data["result"]))

    def _read(
        self, path: str, values: Mapping[str, object], read: Callable[[Any], _Found]
    ) -> _Found:
        answer = self._get(f"{self._base}/api/v1/{path}?{urlencode(values)}")
        try:
            return read(orjson.loads(answer)["data"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnavailableError(
                f"{self._where} does not answer as Prometheus does; check {SETTING}"
            ) from error

    def _get(self, url: str) -> bytes:
        request = Request(url, headers=self._headers)  # noqa: S310  # http or https, by the settings
        try:
            with build_opener(_NoRedirects).open(request, timeout=self._seconds) as answer:
                read: bytes = answer.read(_LARGEST)
                return read
        except HTTPError as error:
            with error:
                raise UnavailableError(
                    f"Prometheus at {self._where} answers {error.code}; check {SETTING}"
                ) from error
        except (URLError, OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else type(error).__name__
            raise UnavailableError(
                f"Prometheus at {self._where} does not answer: {reason}; check {SETTING}"
            ) from error


def prometheus_of(url: HttpUrl | None, seconds: float = _SECONDS) -> Prometheus | None:
    """The Prometheus of the settings, if they name one."""
    return None if url is None else Prometheus(str(url), seconds)


def _firing(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alerts that fire: one that is pending has not lasted long enough."""
    return [each for each in data["alerts"] if each["state"] == "firing"]


def _series(found: Mapping[str, Any]) -> Series:
    labels, name = found["labels"], found["labels"]["alertname"]
    return Series(
        name,
        labels.get("severity", ""),
        found["annotations"].get("summary", name),
        datetime.fromisoformat(found["activeAt"]),
    )
