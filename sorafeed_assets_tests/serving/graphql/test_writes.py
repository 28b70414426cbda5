"""When the API answers, its change is stored, planned, cached and notified."""

from sqlalchemy import Engine, text

from sorafeed_assets.services.timelines.queues import low_displays, stale_displays
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    CREATE_PLAYLIST,
    Api,
    make_display,
    newest,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts, undecided

QUEUE = "query ($id: ID!) { display(id: $id) { queue { videoId } nowPlaying { videoId } } }"


def _next(api: Api, code: str) -> list[str]:
    videos = api.http.get(f"/api/displays/{code}/next").json()["videos"]
    return [video["video"] for video in videos]


def test_a_created_playlist_is_active_and_planned_in_the_answer(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    code = admin.ask(CREATE_DISPLAY, name="Lobby")["createDisplay"]["display"]["id"]
    made = admin.ask(
        CREATE_PLAYLIST,
        display=code,
        name="Evening",
        blocks=[newest("cat", 7), {"search": "unicorn", "videoCount": 1}],
    )["createPlaylist"]
    assert made["problem"] is None
    assert made["playlist"]["isActive"]
    display = made["display"]
    assert display["activePlaylist"]["id"] == made["playlist"]["id"]
    assert display["queued"] == 5
    assert [row["position"] for row in display["queue"]] == [0, 1, 2, 3, 4]
    assert display["queue"][0]["post"]["text"] == "A cat number p_cat_0_0008"
    assert display["dryBlocks"] == [{"search": "unicorn"}]
    # Dagster's sensors have nothing left to do.
    assert stale_displays(engine) == {}
    assert undecided(engine) == set()
    assert low_displays(engine) == []
    assert _next(admin, code) == [row["videoId"] for row in display["queue"]]


def test_an_edit_keeps_what_plays_and_plans_the_rest(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    dogs = add_posts(engine, "dog", 9)
    made = make_display(admin, "EDIT01", newest("cat", 6))
    first = admin.http.get("/api/displays/EDIT01/next").json()["videos"][0]
    begun = admin.http.post("/api/displays/EDIT01/started", json={"entry": first["entry"]})
    assert begun.json() == {"begun": True}
    changed = admin.ask(
        """
        mutation ($id: ID!, $blocks: [BlockInput!]!) {
          replaceBlocks(playlistId: $id, blocks: $blocks) {
            display { nowPlaying { videoId } queue { videoId } }
          }
        }
        """,
        id=made["playlist"]["id"],
        blocks=[newest("dog", 6)],
    )["replaceBlocks"]["display"]
    assert changed["nowPlaying"]["videoId"] == first["video"]
    assert {row["videoId"] for row in changed["queue"]} < set(dogs)
    assert _next(admin, "EDIT01")[0] == first["video"]


def test_playlists_are_chosen_renamed_imported_and_deleted(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 5)
    add_posts(engine, "dog", 5)
    first = make_display(admin, "MANY01", newest("cat", 3))["playlist"]["id"]
    imported = admin.ask(
        """
        mutation ($csv: String!) {
          importPlaylist(displayId: "MANY01", name: "From a file", csv: $csv) {
            playlist { id isActive blocks { search videoCount fetchMode format } }
          }
        }
        """,
        csv="search_term,video_count,fetch_mode,format\ndog,2,newest,wide\n",
    )["importPlaylist"]["playlist"]
    assert imported["isActive"]
    assert imported["blocks"] == [
        {"search": "dog", "videoCount": 2, "fetchMode": "NEWEST", "format": "WIDE"}
    ]
    chosen = admin.ask(
        "mutation ($id: ID!) { activatePlaylist(id: $id) { display { activePlaylist { id } } } }",
        id=first,
    )
    assert chosen["activatePlaylist"]["display"]["activePlaylist"]["id"] == first
    renamed = admin.ask(
        'mutation ($id: ID!) { renamePlaylist(id: $id, name: "Night") { playlist { name } } }',
        id=first,
    )
    assert renamed["renamePlaylist"]["playlist"]["name"] == "Night"
    left = admin.ask(
        "mutation ($id: ID!) { deletePlaylist(id: $id) { display { activePlaylist { id } } } }",
        id=first,
    )
    assert left["deletePlaylist"]["display"]["activePlaylist"]["id"] == imported["id"]
    assert set(_next(admin, "MANY01")) <= {f"p_dog_0_{n:04}" for n in range(5)}


def test_displays_are_renamed_and_deleted_with_their_snapshot(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 5)
    make_display(admin, "GONE01", newest("cat", 3))
    renamed = admin.ask(
        'mutation { renameDisplay(id: "GONE01", name: " Hall ") { display { name } } }'
    )
    assert renamed["renameDisplay"]["display"]["name"] == "Hall"
    assert admin.ask('mutation { deleteDisplay(id: "GONE01") { id } }')
    assert admin.ask(QUEUE, id="GONE01") == {"display": None}
    assert admin.http.get("/api/displays/GONE01/next").status_code == 404


def test_play_pause_and_stop_reach_the_player(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 5)
    make_display(admin, "STATE1", newest("cat", 3))
    for verb, state in (("pause", "paused"), ("stop", "idle"), ("play", "playing")):
        done = admin.ask(
            f'mutation {{ {verb}(displayId: "STATE1") {{ display {{ playbackState }} }} }}'
        )
        assert done[verb]["display"]["playbackState"] == state.upper()
        assert admin.http.get("/api/displays/STATE1/next").json()["state"] == state


def test_skip_moves_on_once_for_one_entry(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "SKIP01", newest("cat", 8))
    before = admin.http.get("/api/displays/SKIP01/next").json()["videos"]
    skip = """
    mutation ($entry: ID) { skip(displayId: "SKIP01", entryId: $entry) { videoId wasSkipped } }
    """
    for _ in range(2):
        told = admin.ask(skip, entry=before[0]["entry"])["skip"]
        assert told == {"videoId": before[0]["video"], "wasSkipped": True}
    assert _next(admin, "SKIP01")[0] == before[1]["video"]
    admin.ask(skip, entry=None)
    assert _next(admin, "SKIP01")[0] == before[2]["video"]


def test_a_change_of_nothing_is_refused_by_name(admin: Api) -> None:
    unknown = "00000000-0000-0000-0000-000000000000"
    for query, code, field in (
        (
            f'mutation {{ deletePlaylist(id: "{unknown}") {{ display {{ id }} }} }}',
            "NOT_FOUND",
            None,
        ),
        ('mutation { deletePlaylist(id: "x") { display { id } } }', "BAD_USER_INPUT", "id"),
        ('mutation { pause(displayId: "NONE01") { display { id } } }', "NOT_FOUND", None),
        ('mutation { createDisplay(name: " ") { display { id } } }', "BAD_USER_INPUT", "name"),
        (
            'mutation { createDisplay(name: "a", id: "low") { display { id } } }',
            "BAD_USER_INPUT",
            "display_id",
        ),
        ('mutation { watchTerm(search: "-only") { term } }', "BAD_USER_INPUT", "search_term"),
    ):
        error = admin.refusal(query)
        assert error["extensions"]["code"] == code, error
        assert error["extensions"].get("field") == field
        assert error["extensions"]["requestId"]


def test_a_bad_block_is_named_and_nothing_is_stored(admin: Api, engine: Engine) -> None:
    admin.ask(CREATE_DISPLAY, name="Hall", id="BAD001")
    error = admin.refusal(
        CREATE_PLAYLIST,
        display="BAD001",
        name="x",
        blocks=[newest("cat", 1), newest("cat", 501)],
    )
    assert error["extensions"]["field"] == "blocks[1].video_count"
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM playlists")) == 0


def test_a_watched_term_is_counted_by_the_jobs(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 4)
    assert admin.ask('mutation { watchTerm(search: " CAT ") { term } }')["watchTerm"] == {
        "term": "cat"
    }
    terms = '{ terms(search: "cat") { nodes { term isWatched total problem } } }'
    wait_until(lambda: admin.ask(terms)["terms"]["nodes"][0]["total"] is not None)
    found = admin.ask(terms)["terms"]["nodes"]
    assert found == [{"term": "cat", "isWatched": True, "total": 4, "problem": None}]
    admin.ask('mutation { unwatchTerm(search: "cat") { term } }')
    assert admin.ask(terms)["terms"]["nodes"] == []
