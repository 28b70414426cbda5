"""Lists that PostgreSQL answers as JSON equal those of graphql-core, byte for byte."""

import re
from collections.abc import Callable, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.graphql import execution
from sorafeed_assets.serving.graphql.listing import Listing, listing_of
from sorafeed_assets.storage.display_json import Field
from sorafeed_assets.storage.lists import DisplayOrder
from sorafeed_assets_tests.cache_data import store_counts
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import Site
from sorafeed_assets_tests.serving.client import Api, token_of
from sorafeed_assets_tests.wall import add_display

Ask = Callable[..., bytes]

_DISPLAY = [
    "__typename",
    "id",
    "name",
    "createdAt",
    "isOnline",
    "lastSeen",
    "playbackState",
    "queued",
    "loop",
    "position",
    "buildId",
    "builtAt",
]
_PLAYLIST = [
    "__typename",
    "id",
    "displayId",
    "name",
    "isActive",
    "createdAt",
    "updatedAt",
    "loopCount",
    "totalVideos",
]
_BLOCK = [
    "__typename",
    "id",
    "search",
    "videoCount",
    "fetchMode",
    "format",
    "order",
    "timesPlayed",
    "lastPlayedAt",
    "total",
    "seen",
    "available",
]
_ALL = f"""
{{ displays(first: 100) {{ __typename totalCount
  pageInfo {{ __typename hasNextPage hasPreviousPage startCursor endCursor }}
  nodes {{ {" ".join(_DISPLAY)} activePlaylist {{ {" ".join(_PLAYLIST)}
    blocks {{ {" ".join(_BLOCK)} }} }} }}
  edges {{ __typename cursor node {{ id }} }} }} }}
"""
# (search, format): some are normalized, some have to be, one is not counted.
_SEARCHES = [
    ("cat", "mixed"), ("cat", "wide"), ("CAT", "mixed"), (" cat  video ", "mixed"),
    ("cat -dog", "wide"), ("-DOG cat", "wide"), ("unknown", "tall"), ("Ünïcode \"'\\ İ", "mixed"),
]  # fmt: skip
_NAMES = ["Hall", 'quo"te \\ back', "tab\tand\nline \x7f\x01", "Ünïcode 😀 \u2028", "100%_", "'"]


@pytest.fixture(scope="module")
def walls(site: Site) -> Site:
    """Displays of every kind: with and without playlist, build, plays and odd text."""
    engine = site.engine
    for number in range(12):
        code = add_display(engine, f"LIST{number:02}")
        run(engine, "UPDATE displays SET name = :name, loop_iteration = :n,"
                    " created_at = timestamptz '2026-03-01 12:00+00' + :n / 3 * interval '0.25 s',"
                    " last_ping = CASE WHEN :n % 2 = 0 THEN now() END,"
                    " status = CASE WHEN :n % 3 = 0 THEN 'online' ELSE 'offline' END,"
                    " playback_state = (ARRAY['idle','playing','paused','loading'])[1 + :n % 4],"
                    " last_state_change = CASE WHEN :n % 5 > 0 THEN now() END"
                    " WHERE id = :code",
            n=number, name=_NAMES[number % len(_NAMES)], code=code)  # fmt: skip
        if number % 4 == 3:
            continue
        run(engine, "INSERT INTO playlists (display_id, name, is_active, is_new, loop_count,"
                    " total_videos) SELECT :code, :name || active, active, false, :n, 7"
                    " FROM unnest(ARRAY[true, false]) AS active",
            n=number, name=_NAMES[(number + 1) % len(_NAMES)], code=code)  # fmt: skip
        for order, (search, format_) in enumerate(_SEARCHES[: number % 9]):
            run(engine, "INSERT INTO playlist_blocks (playlist_id, search_term, format,"
                        " video_count, block_order, fetch_mode, times_played, last_played_at)"
                        " SELECT id, :search, :format, 3, :order, :mode, :order,"
                        " CASE WHEN :order % 2 = 0 THEN now() END"
                        " FROM playlists WHERE display_id = :code",
                search=search, format=format_, order=order, code=code,
                mode=("newest", "random")[order % 2])  # fmt: skip
        # Some plays are too old to count, some are of the same video.
        run(engine, "INSERT INTO video_history (display_id, video_id, block_id, loop_iteration,"
                    " played_at) SELECT p.display_id, 'v' || n % 5, k.id, 0,"
                    " now() + (n - 4) * interval '1 hour'"
                    " FROM playlists p JOIN playlist_blocks k ON k.playlist_id = p.id,"
                    " generate_series(1, 12) AS n WHERE p.display_id = :code AND p.is_active"
                    " AND k.block_order < 3", code=code)  # fmt: skip
        run(engine, "UPDATE displays SET dedup_since = now() WHERE id = :code", code=code)
    run(engine, "INSERT INTO timeline_builds (display_id, playlist_id, playlist_version,"
                " loop_iteration, inputs, plan, content_hash)"
                " SELECT display_id, id, 'v', 0, jsonb_build_object('playlist_version', 'v',"
                " 'blocks', '[]'::jsonb, 'loops', '[]'::jsonb),"
                " '{\"loops\": []}', 'h' FROM playlists"
                " WHERE is_active AND display_id < 'LIST06'")  # fmt: skip
    run(engine, "UPDATE displays d SET active_build_id = b.id FROM timeline_builds b"
                " WHERE b.display_id = d.id")  # fmt: skip
    run(engine, "INSERT INTO timeline_videos (display_id, build_id, playlist_id, block_id,"
                " video_id, block_position, timeline_position, loop_iteration, queue_slot,"
                " video_data) SELECT display_id, id, playlist_id, uuidv7(), 'v', 0, n, 0, n, '{}'"
                " FROM timeline_builds, generate_series(0, 3) AS n")  # fmt: skip
    store_counts(engine, {"cat": 3, "cat video": 50, "cat -dog": 9})
    return site


@pytest.fixture(scope="module")
def ask(walls: Site) -> Ask:
    """Send a query in one of the two ways; removes request ids from the answer."""

    def send(query: str, *, as_json: bool, **variables: object) -> bytes:
        with pytest.MonkeyPatch.context() as patch:
            if not as_json:
                patch.setattr(execution, "listing_of", lambda *_: None)
            # The comment keeps the responses apart in the cache.
            found = walls.admin.post(f"{query}# {as_json}", **variables)
        return re.sub(rb'"requestId":"[^"]*"', b"", found.content)

    return send


def _selected(names: Sequence[str], *inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Some fields, partly with an alias, in a fragment or with a directive."""
    forms = ["{0}", "other_{0}: {0}", "... {{ {0} }}", "{0} @skip(if: $yes)",
             "... @include(if: $yes) {{ {0} }}", "{0} {0}"]  # fmt: skip
    field = st.builds(str.format, st.sampled_from(forms), st.sampled_from(names))
    return st.lists(st.one_of(field, *inner), min_size=1, max_size=6).map(" ".join)


_blocks = _selected(_BLOCK).map(lambda fields: f"blocks {{ {fields} }}")
_playlists = _selected(_PLAYLIST, _blocks).map(lambda fields: f"activePlaylist {{ {fields} }}")
_displays = _selected(_DISPLAY, _playlists)
_cursors = st.sampled_from(["cursor", "at: cursor", "__typename"])
_connections = st.lists(
    st.one_of(
        st.sampled_from(["totalCount", "__typename", "pageInfo { startCursor end: endCursor }",
                         "pageInfo { hasNextPage hasPreviousPage __typename }"]),
        _displays.map(lambda fields: f"nodes {{ {fields} }}"),
        st.builds("edges {{ {} node {{ {} }} }}".format, _cursors, _displays),
    ),
    min_size=1,
    max_size=3,
).map(" ".join)  # fmt: skip
_arguments = st.fixed_dictionaries(
    {"first": st.sampled_from([0, 1, 3, 5, 100, 101]), "order": st.sampled_from(DisplayOrder)},
    optional={
        "search": st.sampled_from([None, "", " ", "list0", "%", "ÜNÏ", "nothing", "x" * 201])
    },
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_connections, _arguments, st.sampled_from(["", "of the first page", "forged"]))
def test_any_selection_is_answered_alike(
    ask: Ask, selection: str, arguments: dict[str, object], after: str
) -> None:
    query = (
        "query ($first: Int!, $order: DisplayOrder!, $search: String, $after: String,"
        " $yes: Boolean = true) { list: displays(first: $first, orderBy: $order, search: $search,"
        f" after: $after) {{ {selection} }} }}"
    )
    asked = {**arguments, "order": str(arguments["order"]).upper(), "yes": True}
    if after:
        asked["after"] = "forged"
    if after == "of the first page":
        page = "query ($first: Int!, $order: DisplayOrder!, $search: String) { displays("
        page += "first: $first, orderBy: $order, search: $search) { pageInfo { endCursor } } }"
        found = re.search(rb'"endCursor":"([^"]+)"', ask(page, as_json=False, **asked))
        asked["after"] = found[1].decode() if found else None
    assert ask(query, as_json=True, **asked) == ask(query, as_json=False, **asked)


def test_all_fields_are_answered_alike(ask: Ask) -> None:
    found = ask(_ALL, as_json=True)
    assert found == ask(_ALL, as_json=False)
    for text in (b'"total":3,', b'"total":null', b'"seen":5', b'"available":0', b"\\u0001"):
        assert text in found


@pytest.mark.parametrize(
    ("query", "is_json"),
    [
        (_ALL, True),
        ("{ displays { nodes { id } } }", True),
        ("query A { count(search: \"x\") { total } } query B { displays { totalCount } }", True),
        ("{ displays { nodes { id nowPlaying { videoId } } } }", False),
        ("{ displays { nodes { playlists { nodes { id } } } } }", False),
        ("{ displays { nodes { id } } terms { nodes { term } } }", False),
        ("{ a: displays { totalCount } b: displays { totalCount } }", False),
        ("{ displays { nodes { id @skip(if: true) } } }", False),
        ("{ display(id: \"LIST01\") { id } }", False),
    ],
)  # fmt: skip
def test_which_queries_are_answered_as_json(
    walls: Site, monkeypatch: pytest.MonkeyPatch, query: str, *, is_json: bool
) -> None:
    met: list[Listing | None] = []

    def watched(*asked: object) -> Listing | None:
        met.append(listing_of(*asked))  # type: ignore[arg-type]  # the arguments of the executor
        return met[-1]

    monkeypatch.setattr(execution, "listing_of", watched)
    body = {"query": f"{query}# watched", "operationName": "B" if "query B" in query else None}
    assert "errors" not in walls.admin.http.post("/graphql", json=body).json()
    assert [found is not None for found in met] == [is_json]


def test_a_player_may_not_list_displays(walls: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    player = Api(walls.url, token_of(walls.engine, Role.DISPLAY, "LIST01"))
    as_json = player.refusal("{ displays { nodes { id } } }")
    monkeypatch.setattr(execution, "listing_of", lambda *_: None)
    usual = player.refusal("{ displays { nodes { id } } }")
    player.close()
    assert as_json["extensions"]["code"] == "FORBIDDEN"
    assert {**as_json, "extensions": ""} == {**usual, "extensions": ""}


def _statements(engine: Engine, work: Callable[[], object]) -> int:
    made: list[str] = []

    def note(*event_: object) -> None:
        made.append(str(event_[2]))

    event.listen(engine, "after_cursor_execute", note)
    work()
    event.remove(engine, "after_cursor_execute", note)
    return len(made)


def test_a_page_is_one_statement(walls: Site) -> None:
    total = (Field("total", "total"), Field("available", "available"))
    shape = (
        Field("id", "id"),
        Field("p", "active_playlist", (Field("blocks", "blocks", total),)),
    )
    reads = Queries(walls.engine)

    def page(search: str) -> None:
        reads.display_json_page([shape, shape], DisplayOrder.NAME, search, 5, None)

    # LIST01 and LIST02 search for terms as they are written, LIST08 does not.
    assert _statements(walls.engine, lambda: page("LIST01")) == 1
    assert _statements(walls.engine, lambda: page("LIST08")) == 2


@example("İ  -B -a")
@given(st.text())
def test_a_term_is_its_own_term(written: str) -> None:
    try:
        term = parse_query(written).term
    except InvalidInputError:
        return
    assert parse_query(term).term == term
