"""Requests that are made at random, sent several at a time to a server of another process."""

import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import hypothesis
import requests
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_posts

CODES: Final = ("FUZZ01", "FUZZ02", "FUZZ03")
UNKNOWN: Final = 2
OF_A_DISPLAY: Final = 3
# An unknown token is refused before anything else is looked at, so few requests have it.
TOKENS: Final = (*[0] * 12, *[1] * 4, *[OF_A_DISPLAY] * 3, UNKNOWN)
_AT_ONCE: Final = 4
_IDS: Final = """
SELECT 'playlist', id::text FROM playlists
UNION ALL SELECT 'entry', id::text FROM timeline_videos
UNION ALL SELECT 'post', id FROM sora_posts
UNION ALL SELECT 'template', id::text FROM templates
UNION ALL SELECT 'slot', id::text FROM time_slots
UNION ALL SELECT 'block', id::text FROM playlist_blocks
UNION ALL SELECT 'token', id::text FROM api_tokens WHERE name <> 'test'
ORDER BY 1, 2
"""


class Target:
    """A served API with displays that play, whose ids requests are made with.

    Attributes:
        tokens: an admin's, a reader's, an unknown one, and that of a display.
        lock: held by a request that may delete a display, so that `complete` is not disturbed.
        ids: kind → the ids of what there is, as of the last call of `complete`.
    """

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self._engine = engine
        self._admin = Api(url, token_of(engine, Role.ADMIN))
        self.lock = threading.RLock()
        self.tokens = [
            token_of(engine, Role.ADMIN),
            token_of(engine, Role.READER),
            "sfd_unknown",
            "of a display",
        ]
        self.ids: dict[str, Sequence[str]] = {}
        self.complete()

    def complete(self) -> None:
        """Create the displays that were deleted, and read all ids."""
        with self.lock:
            found = {code for (code,) in run(self._engine, "SELECT id FROM displays")}
            for code in CODES:
                if code not in found:
                    make_display(self._admin, code, newest("cat", 5), newest("dog", 2))
            if CODES[0] not in found:
                self.tokens[OF_A_DISPLAY] = token_of(self._engine, Role.DISPLAY, CODES[0])
            ids: dict[str, list[str]] = {}
            for kind, key in run(self._engine, _IDS):
                ids.setdefault(kind, []).append(key)
            self.ids = {"display": CODES, **ids}

    def known(self, text: str, number: int) -> str:
        """A text, or the id that it stands for: `@post` for that of a post."""
        ids = self.ids.get(text[1:], ()) if text.startswith("@") else ()
        return ids[number % len(ids)] if ids else text

    def close(self) -> None:
        """Close the connections."""
        self._admin.close()


@contextmanager
def target_of(settings: Settings, engine: Engine) -> Iterator[Target]:
    """Serve an API whose limits of calls a second are out of the way."""
    free = settings.model_copy(update={"api_calls_per_second": 1_000_000})
    add_posts(engine, "cat", 30)
    add_posts(engine, "dog", 3)
    with served(free) as api:
        target = Target(api.url, engine)
        try:
            yield target
        finally:
            target.close()


def cases(schema: Any) -> st.SearchStrategy[tuple[Any, int]]:
    """Cases of all operations, as they are described and otherwise, each with a kind of token."""
    # Built once: building takes longer than drawing.
    strategies = [
        found.ok().as_strategy(generation_mode=mode)
        for found in schema.get_all_operations()
        for mode in GenerationMode
    ]
    return st.tuples(
        st.sampled_from(strategies).flatmap(lambda chosen: chosen), st.sampled_from(TOKENS)
    )


def send_all(
    strategy: st.SearchStrategy[Any],
    send: Callable[[requests.Session, Any], None],
    *,
    few: int,
    many: int,
    seed: int,
) -> None:
    """Draw examples and send them from a few threads; an answer that is wrong is no end.

    They are not made smaller: a request that fails is shown as it was sent.

    Args:
        strategy: of the examples.
        send: sends one and checks its answer.
        few: how many examples, always the same.
        many: how many other ones `make fuzz` sends.
        seed: of the few.
    """
    is_long = hypothesis.settings.get_current_profile_name() == "fuzz"
    options = hypothesis.settings(
        max_examples=many if is_long else few,
        phases=[Phase.generate],
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    sent: list[Future[None]] = []
    free = threading.BoundedSemaphore(2 * _AT_ONCE)
    own = threading.local()
    sessions: list[requests.Session] = []

    def work(made: Any) -> None:
        try:
            if not hasattr(own, "session"):
                own.session = requests.Session()
                sessions.append(own.session)
            send(own.session, made)
        finally:
            free.release()

    with ThreadPoolExecutor(_AT_ONCE) as threads:

        def submit(made: Any) -> None:
            free.acquire()
            sent.append(threads.submit(work, made))

        drawing = options(given(strategy)(submit))
        if not is_long:
            drawing = hypothesis.seed(seed)(drawing)
        drawing()
    for session in sessions:
        session.close()
    wrong = [problem for each in sent if (problem := each.exception()) is not None]
    shown = "".join(line for each in wrong[:5] for line in traceback.format_exception(each))
    assert not wrong, f"{len(wrong)} of {len(sent)} requests:\n{shown}"
