"""The page about comparing with the old system: plots, the gate, and what is unexplained."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import PostgresDsn
from sqlalchemy import Engine

from sorafeed_assets.domain.legacy.queues import Problem
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome, Rule, not_compared
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.legacy.catalog import POSTS
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.posts import complete, lock_cursor
from sorafeed_assets.storage.legacy.queues import store_file, store_problems
from sorafeed_assets.storage.shadow.comparisons import COUNT, QUEUE, TIMELINE, Compared, store
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.metrics import samples_of
from sorafeed_assets_tests.serving.client import Api, token_of
from sorafeed_assets_tests.wall import add_display

_PAGES = (
    *("", "/posts", "/figures", "/templates", "/flags", "/rollouts", "/runbook", "/connect"),
    *("/displays/HALL01", "/displays/HALL01/timetable", "/displays/HALL01/screens"),
)
_LINK = '<a href="/admin/shadow">Old system</a>'
_HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def admin(settings: Settings, engine: Engine) -> Iterator[Api]:
    """An admin of an API that knows an old system."""
    there = settings.model_copy(
        update={
            "legacy_catalog_url": PostgresDsn("postgresql://reader@127.0.0.1:1/old"),
            "shadow_gate_days": 1,
        }
    )
    with serving(there, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        yield client
        client.close()


def _store(engine: Engine, *found: Compared) -> None:
    with engine.begin() as connection:
        store(connection, found)


def _good(engine: Engine) -> None:
    _store(
        engine,
        Compared(COUNT, "tea", Finding(Outcome.SAME), "mixed", {}, Cost(0.5, 1), Cost(0.001, 1)),
        Compared(TIMELINE, "HALL01", Finding(Outcome.EXPECTED, (Rule.SIZELESS_POST,), "x")),
        Compared(QUEUE, "HALL02", not_compared("locked")),
    )


def test_an_open_gate_and_its_plots(admin: Api, engine: Engine) -> None:
    _good(engine)
    overview = admin.http.get("/admin").text
    assert '<a href="/admin/shadow">Old system</a>' in overview
    page = admin.http.get("/admin/shadow")
    assert page.status_code == 200
    assert "The gate is <b>open</b>" in page.text
    by_day, hall_1, hall_2 = re.findall(r'<svg class="plot".*?</svg>', page.text, re.DOTALL)
    assert re.findall(r'rect class="(\w+)"', by_day) == ["same", "expected", "not_compared"]
    assert re.findall(r'rect class="(\w+)"', hall_1) == ["expected"]
    assert re.findall(r'rect class="(\w+)"', hall_2) == ["not_compared"]
    assert "1 same</title>" in by_day
    assert "a post without a size is counted there, but never played" in page.text
    assert "<td>500.0 ms</td>" in page.text
    assert "<td>500.0</td>" in page.text  # times faster
    assert "style=" not in page.text
    assert '<b>queue HALL02</b> <span class="text">locked</span>' in page.text
    # Compared since then.
    _store(engine, Compared(QUEUE, "HALL02", Finding(Outcome.SAME)))
    assert "locked" not in admin.http.get("/admin/shadow").text


def test_an_unexplained_difference_closes_it_and_is_no_markup(admin: Api, engine: Engine) -> None:
    _good(engine)
    _store(engine, Compared(COUNT, _HOSTILE, Finding(Outcome.UNEXPLAINED, (), _HOSTILE)))
    page = admin.http.get("/admin/shadow").text
    assert "The gate is <b>closed</b>: 1 unexplained difference in" in page
    assert page.count("&lt;script&gt;") == 2
    assert _HOSTILE not in page
    samples = samples_of(admin.http.get("/metrics").text)
    name = "sorafeed_shadow_comparisons"
    assert {labels[0][1]: n for (of, labels), n in samples.items() if of == name} == {
        "same": 1,
        "expected": 1,
        "unexplained": 1,
        "not_compared": 1,
    }


def test_what_an_import_refused_or_left_as_a_conflict_is_shown(admin: Api, engine: Engine) -> None:
    assert "Imported from the old queues" in admin.http.get("/admin/shadow").text
    with engine.begin() as connection:
        store_problems(
            connection,
            [
                Problem("conflict", "display HALL01", "its name was changed in both systems"),
                Problem("refused", f"display {_HOSTILE}", "its code is none"),
            ],
        )
    page = admin.http.get("/admin/shadow").text
    assert (
        "<b>conflict</b> display HALL01: "
        '<span class="text">its name was changed in both systems</span>' in page
    )
    assert "<b>refused</b> display &lt;script&gt;" in page
    assert _HOSTILE not in page
    with engine.begin() as connection:
        store_problems(connection, [])
    assert "<b>conflict</b>" not in admin.http.get("/admin/shadow").text


def test_a_file_of_queues_alone_is_an_old_system(
    settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    there = settings.model_copy(update={"legacy_queues": tmp_path / "old.sqlite"})
    with serving(there, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        assert client.http.get("/admin/shadow").status_code == 200
        assert _LINK in client.http.get("/admin").text
        client.close()


def _read_before(engine: Engine, seconds: int) -> None:
    """Store when the old catalogue was last read to its end."""
    with engine.begin() as connection:
        lock_cursor(connection, POSTS, datetime.now(UTC))
        complete(connection, POSTS)
    run(
        engine,
        "UPDATE legacy_cursors SET looked_at = now() - make_interval(secs => :seconds)",
        seconds=seconds,
    )


def test_how_long_the_old_catalogue_was_not_read_is_told(admin: Api, engine: Engine) -> None:
    name = "sorafeed_legacy_unread_seconds"
    # The first copy takes its time.
    assert name not in admin.http.get("/metrics").text
    _read_before(engine, 3_600)
    samples = samples_of(admin.http.get("/metrics").text)
    assert 3_600 <= samples[name, ()] < 7_200


def _read_queues_before(engine: Engine, seconds: int) -> None:
    """Store when the file of the old queues was last read."""
    with engine.begin() as connection:
        store_file(connection, "/srv/old.sqlite", 7, {})
    run(
        engine,
        "UPDATE legacy_queues SET looked_at = now() - make_interval(secs => :seconds)",
        seconds=seconds,
    )


def test_how_long_the_old_queues_were_not_read_is_told(admin: Api, engine: Engine) -> None:
    name = "sorafeed_legacy_queues_unread_seconds"
    # Nothing was imported; the API here does not know the file, as where it cannot be mounted.
    assert name not in admin.http.get("/metrics").text
    _read_queues_before(engine, 3_600)
    assert 3_600 <= samples_of(admin.http.get("/metrics").text)[name, ()] < 7_200
    # As the runbook ends it, where only the catalogue is followed.
    run(engine, "UPDATE legacy_queues SET looked_at = NULL")
    assert name not in admin.http.get("/metrics").text


def test_it_is_for_those_who_are_signed_in(admin: Api, engine: Engine) -> None:
    stranger = Api(admin.url, None)
    assert stranger.http.get("/admin/shadow").status_code == 401
    stranger.close()
    add_display(engine, "HALL01")
    player = Api(admin.url, token_of(engine, Role.DISPLAY, "HALL01"))
    assert player.http.get("/admin/shadow").status_code == 403
    player.close()


def test_every_page_has_a_link_to_it_where_there_is_an_old_system(
    admin: Api, settings: Settings, engine: Engine
) -> None:
    add_display(engine, "HALL01")
    for path in _PAGES:
        page = admin.http.get(f"/admin{path}")
        assert page.status_code == 200, path
        assert page.text.count(_LINK) == 1, path
    assert 'aria-current="page">Old system</a>' in admin.http.get("/admin/shadow").text
    with serving(settings, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        for path in _PAGES:
            page = client.http.get(f"/admin{path}")
            assert page.status_code == 200, path
            assert "Old system</a>" not in page.text, path
        client.close()


def test_without_an_old_system_there_is_no_such_page(settings: Settings, engine: Engine) -> None:
    _read_before(engine, 3_600)
    _read_queues_before(engine, 3_600)
    with serving(settings, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        assert client.http.get("/admin/shadow").status_code == 404
        assert "/admin/shadow" not in client.http.get("/admin").text
        metrics = client.http.get("/metrics").text
        assert "sorafeed_shadow" not in metrics
        assert "sorafeed_legacy" not in metrics
        client.close()
