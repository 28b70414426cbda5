"""The pages: links into Dagster, preloads, problems, the overview without PostgreSQL."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import pytest
from pydantic import HttpUrl
from sqlalchemy import Engine

from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import Schedule
from sorafeed_assets.domain.timelines.record import PlanInputs
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.write import write_admin_snapshot
from sorafeed_assets.services.timelines import planning
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.serving.own_servers import Servers
from sorafeed_assets_tests.wall import add_display, add_posts

REPLACE = """
mutation ($id: ID!, $blocks: [BlockInput!]!) {
  replaceBlocks(playlistId: $id, blocks: $blocks) { problem }
}
"""
DAGSTER = "http://dagster.example:3000"


@pytest.fixture
def linked(settings: Settings, engine: Engine) -> Iterator[Api]:
    """An admin of an API with the address of Dagster's UI."""
    there = settings.model_copy(update={"dagster_ui_url": HttpUrl(DAGSTER)})
    with serving(there, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        yield client
        client.close()


@pytest.fixture
def graph(settings: Settings) -> Iterator[dg.Definitions]:
    """The definitions whose assets links may name."""
    connections = Connections(settings)
    yield build_definitions(settings, connections)
    connections.close()


def _linked(page: str) -> dict[str, str | None]:
    """The assets that a page's links name, and each one's partition."""
    found: dict[str, str | None] = {}
    for address in re.findall(r'href="([^"]+)"', page):
        place = urlsplit(address.replace("&amp;", "&"))
        if address.startswith(DAGSTER) and place.path.startswith("/assets/"):
            partition = parse_qs(place.query).get("partition", [None])[0]
            found[place.path.removeprefix("/assets/")] = partition
    return found


def test_links_name_the_asset_and_the_partition(
    linked: Api, engine: Engine, graph: dg.Definitions
) -> None:
    add_display(engine, "LINK01")
    assert _linked(linked.http.get("/admin").text) == {"video_counts_by_search": None}
    found = _linked(linked.http.get("/admin/displays/LINK01").text)
    assert found == dict.fromkeys(
        ("display_timelines", "active_playlists", "timeline_cache"), "LINK01"
    )
    assets = {asset.key.to_user_string(): asset for asset in graph.resolve_all_asset_specs()}
    assert {"video_counts_by_search", *found} <= set(assets)
    for name in found:
        partitions = assets[name].partitions_def
        assert isinstance(partitions, dg.DynamicPartitionsDefinition)
        assert partitions.name == "displays"


def test_without_its_address_nothing_links_to_dagster(admin: Api) -> None:
    assert "/assets/" not in admin.http.get("/admin").text


@pytest.mark.parametrize(
    ("path", "style"), [("/admin", "admin.css"), ("/player/LINK01", "player.css")]
)
def test_pages_name_what_to_load_ahead(admin: Api, engine: Engine, path: str, style: str) -> None:
    add_display(engine, "LINK01")
    response = admin.http.get(path)
    assert response.status_code == 200
    link = response.headers["link"]
    assert f"</static/{style}>; rel=preload; as=style" in link
    files = re.findall(r"<([^>]+)>", link)
    answers = {file: admin.http.get(file) for file in files}
    scripts = [answer.text for file, answer in answers.items() if file.endswith(".js")]
    for file, answer in answers.items():
        assert answer.status_code == 200, file
        # The page names it, or a module that it loads imports it.
        imported = re.compile(rf'from "(/static|\.)/{Path(file).name}"')
        assert file in response.text or any(map(imported.search, scripts)), file


def _problems(api: Api, path: str, code: str) -> list[str]:
    """The problems of one display on a page; its own page has no card."""
    page, card, rest = api.http.get(path).text.partition(f'id="display-{code}"')
    own = rest.partition("</li>")[0] if card else page
    return re.findall(r'<p class="problem">(.*?)</p>', html.unescape(own))


def _everywhere(api: Api, code: str) -> list[str]:
    """The problems of a display, which are the same on every page."""
    found = [
        _problems(api, path, code)
        for path in (
            "/admin",
            f"/admin/cards?ids={code}",
            f"/admin/displays/{code}",
            f"/admin/displays/{code}/parts",
        )
    ]
    assert all(problems == found[0] for problems in found), found
    return found[0]


def _change_by_sql(admin: Api, engine: Engine, statement: str) -> None:
    """Change a row by plain SQL, and invalidate the pages."""
    run(engine, statement)
    admin.ask('mutation { renameDisplay(id: "PLAN01", name: "Hall") { problem } }')


def test_a_playlist_that_cannot_be_planned_is_told_with_its_reason(
    admin: Api, engine: Engine
) -> None:
    add_posts(engine, "cat", 12)
    playlist = make_display(admin, "PLAN01", newest("cat", 3), newest("cat", 2))["playlist"]["id"]
    assert _everywhere(admin, "PLAN01") == []
    # After its term is counted, the display is settled once more.
    waiting = "SELECT FROM count_jobs UNION ALL SELECT FROM display_changes"
    wait_until(lambda: not run(engine, waiting))
    # The constraint accepts it as a word.
    blank = "UPDATE playlist_blocks SET search_term = E'\\x1c' WHERE block_order = 1"
    _change_by_sql(admin, engine, blank)
    assert _everywhere(admin, "PLAN01") == [
        "Its playlist has changed and is not planned yet; it keeps playing its last plan."
    ]
    activate = f'mutation {{ activatePlaylist(id: "{playlist}") {{ problem }} }}'
    assert "is empty" in admin.ask(activate)["activatePlaylist"]["problem"]
    (problem,) = _everywhere(admin, "PLAN01")
    assert problem == (
        "Its playlist cannot be planned, so it keeps playing its last plan: the search of block 2"
        " is empty; write the words to search for."
    )
    _change_by_sql(admin, engine, "DELETE FROM playlist_blocks")
    assert admin.ask(activate)["activatePlaylist"]["problem"]
    (problem,) = _everywhere(admin, "PLAN01")
    assert problem == (
        "Its playlist cannot be planned, so it keeps playing its last plan: its list of blocks is"
        " empty; a playlist needs at least one block."
    )
    mended = admin.ask(REPLACE, id=playlist, blocks=[newest("cat", 3)])
    assert mended["replaceBlocks"] == {"problem": None}
    assert _everywhere(admin, "PLAN01") == []


def test_a_plan_that_fails_its_audit_is_told_with_its_reason(
    admin: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(engine, "cat", 12)
    made = make_display(admin, "PLAN01", newest("cat", 3))

    def audit_less(schedule: Schedule, inputs: PlanInputs) -> None:
        """Audit the plan without its last pick."""
        loops = (replace(schedule.loops[0], picks=schedule.loops[0].picks[:-1]),)
        audit_schedule(Schedule(loops + schedule.loops[1:]), inputs)

    with monkeypatch.context() as broken:
        broken.setattr(planning, "audit_schedule", audit_less)
        answer = admin.ask(REPLACE, id=made["playlist"]["id"], blocks=[newest("cat", 5)])
        make_display(admin, "PLAN02", newest("cat", 5))
        # The server may plan again at any time.
        assert "last good build" in answer["replaceBlocks"]["problem"]
        (problem,) = _everywhere(admin, "PLAN01")
        assert re.fullmatch(
            r"Its playlist cannot be planned, so it keeps playing its last plan:"
            r" loop 1 has 4 videos of block \S+, which wants 5\.",
            problem,
        )
        (problem,) = _everywhere(admin, "PLAN02")
        assert problem.startswith(
            "Its playlist cannot be planned, so it has nothing to play: loop 1 "
        )


def test_without_postgres_the_overview_is_the_last_snapshot(tmp_path: Path) -> None:
    servers = Servers(tmp_path)
    try:
        add_posts(servers.engine, "cat", 12)
        settings = servers.settings.model_copy(update={"api_answer_seconds": 0.0})
        with serving(settings, Listening(free_port())) as url:
            api = Api(url, token_of(servers.engine, Role.ADMIN))
            # Until it is warm it does not know whether a token has changed.
            wait_until(lambda: api.http.get("/readyz").is_success)
            make_display(api, "AWAY01", newest("cat", 5), name="The <evening>")
            with create_redis_client(servers.redis.url) as redis:
                write_admin_snapshot(servers.engine, redis, ttl=1000)
            assert "shows the last snapshot" not in api.http.get("/admin").text
            servers.postgres.stop()
            wait_until(lambda: "shows the last snapshot" in api.http.get("/admin").text)
            response = api.http.get("/admin")
            api.close()
    finally:
        servers.stop()
    assert response.status_code == 200
    assert 'role="alert"' in response.text
    assert 'id="display-AWAY01"' in response.text
    assert "Display AWAY01" in response.text
    assert "The &lt;evening&gt;" in response.text
    # Changes are not offered.
    assert "Add a display" not in response.text
