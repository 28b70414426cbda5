"""Who asks: tokens from the header or a cookie, what they may do, and how often."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from sorafeed_assets.services.tokens import Role, Token, hash_of
from sorafeed_assets.serving.http.errors import (
    ForbiddenError,
    TooManyCallsError,
    UnauthenticatedError,
)

ADMIN_COOKIE: Final = "sorafeed_token"
_PLAYER_COOKIE: Final = "sorafeed_player_"
_KNOWN_SECONDS: Final = 5.0
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. ``by_cookie`` when a browser added the token by itself."""

    token: Token
    by_cookie: bool

    @property
    def scope(self) -> str:
        """What the answers depend on: principals of one scope read the same."""
        return self.token.display_id or "wall"

    def must_read(self, display_id: str | None = None) -> None:
        """Refuse a display's token anything but its own display.

        Raises:
            ForbiddenError: it asks for another display, or for the wall.
        """
        if self.token.role is Role.DISPLAY and display_id != self.token.display_id:
            raise ForbiddenError(
                f"this token is good for display {self.token.display_id} only; use a reader's"
            )

    def must_change(self) -> None:
        """Refuse all but admins.

        Raises:
            ForbiddenError: it is no admin's token.
        """
        if self.token.role is not Role.ADMIN:
            raise ForbiddenError(f"a {self.token.role} token changes nothing; use an admin's")


def player_cookie(display_id: str) -> str:
    """The cookie that a display's player page keeps its token in."""
    return f"{_PLAYER_COOKIE}{display_id}"


def secrets_of(headers: Mapping[str, str], display_id: str | None) -> list[tuple[str, bool]]:
    """The tokens a request comes with, the most telling first, and whether by cookie."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, secret = authorization.partition(" ")
        return [(secret.strip(), False)] if scheme.lower() == "bearer" else []
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return []
    names = [ADMIN_COOKIE] if display_id is None else [player_cookie(display_id), ADMIN_COOKIE]
    return [(cookies[name].value, True) for name in names if name in cookies]


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent this from one of our own pages."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


class TokenCache:
    """Tokens looked up before, good and bad; one that was changed is looked up again within 5 s.

    What was found is good for 5 s, and again for 5 s whenever the stored tokens prove the same.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Token | None]] = OrderedDict()
        self._version: str | None = None
        self._confirmed_until = 0.0
        self.generation = 0
        """Grows when everything is forgotten: what was looked up before is not remembered."""

    def get(self, secret: str) -> tuple[bool, Token | None]:
        """Whether the secret was looked up, and what was found."""
        found = self._known.get(hash_of(secret))
        if found is None or max(found[0], self._confirmed_until) < self._clock():
            return False, None
        return True, found[1]

    def stale(self, secret: str) -> Token | None:
        """What was found whenever, for while the database is away."""
        found = self._known.get(hash_of(secret))
        return None if found is None else found[1]

    def put(self, secret: str, token: Token | None, generation: int) -> None:
        """Remember what was found; ``generation`` is of when it was asked for."""
        if generation != self.generation:
            return
        key = hash_of(secret)
        self._known[key] = (self._clock() + _KNOWN_SECONDS, token)
        self._known.move_to_end(key)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def confirm(self, version: str, asked_at: float) -> None:
        """Go on with what is known if the stored tokens are of the version that they were."""
        if version != self._version:
            self.forget()
            self._version = version
        self._confirmed_until = asked_at + _KNOWN_SECONDS

    def now(self) -> float:
        """The time that ages are told by."""
        return self._clock()

    def forget(self) -> None:
        """Look every token up again."""
        self._known.clear()
        self.generation += 1


def checked(token: Token | None) -> Token:
    """A token that is good now.

    Raises:
        UnauthenticatedError: it is unknown, expired or revoked.
    """
    if token is None:
        raise UnauthenticatedError("the token is unknown; see `sorafeed tokens`")
    problem = token.problem(datetime.now(UTC))
    if problem is not None:
        raise UnauthenticatedError(f"the token {problem}; ask for another")
    return token


class RateLimit:
    """A bucket for each caller, which fills at ``rate`` calls a second up to ``burst``."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Take one call out of the caller's bucket.

        Raises:
            TooManyCallsError: it is empty.
        """
        now = self._clock()
        left, at = self._buckets.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            raise TooManyCallsError(
                f"more than {self._rate:g} calls a second; wait a second and go on"
            )
        self._buckets[caller] = (left - 1, now)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > _MOST:
            self._buckets.popitem(last=False)
