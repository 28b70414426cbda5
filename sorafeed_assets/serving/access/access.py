"""Authentication by a token in a header or a cookie, what a token permits, and rate limits.

How a request is refused is in `serving.http.middleware`.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from starlette.datastructures import Headers

from sorafeed_assets.services.tokens import Role, Token, hash_of
from sorafeed_assets.serving.http.errors import (
    ForbiddenError,
    TooManyCallsError,
    UnauthenticatedError,
)

ADMIN_COOKIE: Final = "sorafeed_token"
_PLAYER_COOKIE: Final = "sorafeed_player_"
_MOST_COOKIES: Final = 3
_MOST_PLAYERS: Final = 10
_KNOWN_SECONDS: Final = 5.0
_MOST_CALLERS: Final = 10_000
MOST_TOKENS: Final = 20_000
"""How many tokens a process knows without a lookup; some 10 MB."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request; ``by_cookie`` when a browser sent the token as a cookie."""

    token: Token
    by_cookie: bool

    @property
    def scope(self) -> str:
        """The principal's part of a cache key: principals of one scope get the same answers."""
        return self.token.display_id or "all"

    def must_read(self, display_id: str | None = None) -> None:
        """Check that the token may read a display; None stands for all displays.

        Raises:
            ForbiddenError: it is the token of another display.
        """
        if self.token.role is Role.DISPLAY and display_id != self.token.display_id:
            raise ForbiddenError(
                f"this token is for display {self.token.display_id} only; use a reader's token"
            )

    def must_change(self) -> None:
        """Check that the token may change something.

        Raises:
            ForbiddenError: it is not an admin's token.
        """
        if self.token.role is not Role.ADMIN:
            raise ForbiddenError(
                f"a {self.token.role} token may not change anything; use an admin's token"
            )


def player_cookie(display_id: str) -> str:
    """The name of the cookie that holds the token of a display's player page."""
    return f"{_PLAYER_COOKIE}{display_id}"


def cookies_named(headers: Headers, name: str) -> list[str]:
    """The values of the cookies with a name, however other sites of this host write theirs.

    A client may send several headers with cookies, and several cookies of one name.
    """
    parts = [part.partition("=") for part in ";".join(headers.getlist("cookie")).split(";")]
    found = [value.strip().strip('"') for key, _, value in parts if key.strip() == name]
    return found[:_MOST_COOKIES]


def player_cookies(headers: Headers) -> dict[str, str]:
    """Display → the token that a player's cookie has for it."""
    parts = [part.partition("=") for part in ";".join(headers.getlist("cookie")).split(";")]
    named = ((key.strip(), value.strip().strip('"')) for key, _, value in parts)
    found = [
        (key.removeprefix(_PLAYER_COOKIE), value)
        for key, value in named
        if key.startswith(_PLAYER_COOKIE)
    ]
    return dict(found[-_MOST_PLAYERS:])


def secrets_of(headers: Headers, display_id: str | None) -> list[tuple[str, bool]]:
    """The tokens of a request in the order to try, and whether each is from a cookie."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        return [(secret.strip(), False)] if scheme.lower() == "bearer" else []
    names = [ADMIN_COOKIE] if display_id is None else [player_cookie(display_id), ADMIN_COOKIE]
    return [(value, True) for name in names for value in cookies_named(headers, name)]


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent the request from a page of this site."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


def is_from_elsewhere(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site sent the browser here."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in {"none", "same-origin"}
    # Browsers omit the header on plain http.
    referer = headers.get("referer")
    return referer is not None and urlsplit(referer).netloc != headers.get("host")


class TokenCache:
    """The usable tokens, and what was found of others that were looked up, valid or not.

    An entry expires after 5 s, and is extended by 5 s whenever no stored token has changed.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Token | None]] = OrderedDict()
        self._version: str | None = None
        self._confirmed_until = 0.0
        self.generation = 0
        """Grows when tokens have changed: a lookup that began before is not stored."""

    def get(self, secret: str) -> tuple[bool, Token | None]:
        """Whether the secret is cached, and the token that it belongs to, if any."""
        found = self._known.get(hash_of(secret))
        if found is None or max(found[0], self._confirmed_until) < self._clock():
            return False, None
        return True, found[1]

    def stale(self, secret: str) -> Token | None:
        """The token of an entry of any age, for use while PostgreSQL does not answer."""
        found = self._known.get(hash_of(secret))
        return None if found is None else found[1]

    def put(self, secret: str, token: Token | None, generation: int) -> None:
        """Store what a lookup found; ``generation`` is of when the lookup began."""
        if generation != self.generation:
            return
        key = hash_of(secret)
        self._known[key] = (self._clock() + _KNOWN_SECONDS, token)
        self._known.move_to_end(key)
        while len(self._known) > MOST_TOKENS:
            self._known.popitem(last=False)

    def confirm(self, version: str, asked_at: float) -> bool:
        """Extend all entries if the version of the stored tokens is the same; whether it is."""
        is_same = version == self._version
        if is_same:
            self._confirmed_until = asked_at + _KNOWN_SECONDS
        return is_same

    def replace(self, version: str, usable: Mapping[str, Token], asked_at: float) -> None:
        """Know the usable tokens of a version, by hash; others are looked up again."""
        until = asked_at + _KNOWN_SECONDS
        self._known = OrderedDict((key, (until, token)) for key, token in usable.items())
        self._version, self._confirmed_until = version, until
        self.generation += 1

    def now(self) -> float:
        """The current time of the cache's clock."""
        return self._clock()

    def expire(self) -> None:
        """Look every token up again; until that succeeds, the entries can be used as stale."""
        self._known = OrderedDict(
            (key, (-math.inf, token)) for key, (_, token) in self._known.items()
        )
        self._confirmed_until = -math.inf
        self.generation += 1

    def forget(self) -> None:
        """Look every token up again, and use none of the entries meanwhile."""
        self._known.clear()
        self._version = None
        self.generation += 1


def checked(token: Token | None) -> Token:
    """Return a token that is valid now.

    Raises:
        UnauthenticatedError: it is unknown, expired or revoked.
    """
    if token is None:
        raise UnauthenticatedError("the token is unknown; see `sorafeed tokens`")
    problem = token.problem(datetime.now(UTC))
    if problem is not None:
        raise UnauthenticatedError(f"the token {problem}; use another")
    return token


class RateLimit:
    """A token bucket for each caller: ``rate`` calls a second, up to ``burst`` at once."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str | UUID, tuple[float, float]] = OrderedDict()

    def take(self, caller: str | UUID) -> None:
        """Count one call of a caller: an address or a token's id.

        Raises:
            TooManyCallsError: its bucket is empty.
        """
        now = self._clock()
        left, at = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            raise TooManyCallsError(
                f"more than {self._rate:g} calls a second; wait a second and try again"
            )
        self._buckets[caller] = (left - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _MOST_CALLERS:
            self._buckets.popitem(last=False)


class Rates:
    """The rate limits of one process, by token or, for callers without one, by address."""

    def __init__(self, calls_per_second: float) -> None:
        self.tokens = RateLimit(calls_per_second, 2 * calls_per_second)
        # A client without a valid token gets far fewer attempts.
        self.unauthenticated = RateLimit(5, 20)
        # A wall of screens behind one address may be switched on at once.
        self.pairing = RateLimit(0.5, 60)
        self.pairing_polls = RateLimit(50, 200)
        self.pairing_tries = RateLimit(0.2, 20)
