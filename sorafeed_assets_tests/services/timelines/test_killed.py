"""A process that is killed while it repopulates leaves the old queue or the new one."""

import os
import signal
import subprocess
import sys
import time
from random import Random

from sqlalchemy import Engine, create_engine, text

from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import activate_pending, add_display, add_playlist, add_posts

_ROUNDS = 15
_DISPLAYS = ("AAAAA1", "BBBBB2", "CCCCC3")


def edit_and_repopulate_for_ever(url: str) -> None:
    """The process to kill: it edits playlists and repopulates queues."""
    engine = create_engine(url)
    service = TimelineService(engine)
    while True:
        for term in ("dog video", "cat video"):
            with engine.begin() as connection:
                connection.execute(
                    text("UPDATE playlist_blocks SET search_term = :term"), {"term": term}
                )
            service.repopulate(_DISPLAYS)


def kill_at_random_moments(url: str) -> None:
    """A line on stdin starts a round, a line on stdout ends it."""
    random = Random(1)  # noqa: S311  # moments, not secrets
    for number, _ in enumerate(sys.stdin):
        worker = os.fork()
        if worker == 0:
            edit_and_repopulate_for_ever(url)
        # With growing delays, so that a slow machine reaches its second change too.
        time.sleep(random.uniform(0.03, 0.2) * (1 + number // _ROUNDS))
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        print("killed", flush=True)  # noqa: T201  # to the test


def test_the_queue_is_the_old_one_or_the_new_one(engine: Engine) -> None:
    for term in ("cat video", "dog video"):
        add_posts(engine, term, 30)
    for display in _DISPLAYS:
        add_display(engine, display)
        add_playlist(engine, display, [("cat video", 12), ("cat video", 3)])
    activate_pending(engine)
    service = TimelineService(engine)
    service.repopulate(_DISPLAYS)
    url = engine.url.render_as_string(hide_password=False)
    queues = "SELECT display_id, video_id FROM timeline_videos ORDER BY 1, timeline_position"
    old = run(engine, queues)
    run(engine, "UPDATE playlist_blocks SET search_term = 'dog video'")
    service.repopulate(_DISPLAYS)
    new = run(engine, queues)

    module = "sorafeed_assets_tests.services.timelines.test_killed"
    code = f"from {module} import kill_at_random_moments; kill_at_random_moments({url!r})"
    found: set[bool] = set()
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for number in range(10 * _ROUNDS):
            if number >= _ROUNDS and found == {True, False}:
                break
            killer.stdin.write("go\n")
            killer.stdin.flush()
            assert killer.stdout.readline() == "killed\n"
            state = run(engine, queues)
            assert state in (old, new)
            found.add(state == new)
            for check in (check_plans, check_replans):
                assert check(engine, _DISPLAYS) == {}
            assert check_queues(engine, _DISPLAYS, window=5) == {}
            # No cleanup is needed: the next repopulate works.
            outcomes = service.repopulate(_DISPLAYS)
            assert not any(isinstance(outcome, Exception) for outcome in outcomes.values())
        killer.stdin.close()
    assert found == {True, False}
