"""Many displays at once: each has its own outcome, and all are settled the one way."""

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import InvalidInputError, PlaylistNotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.many import ManyDisplays
from sorafeed_assets.services.playlists.activation import active_versions
from sorafeed_assets.services.playlists.editing import replace_blocks
from sorafeed_assets.services.playlists.templates import (
    TemplateNotFoundError,
    edit_template,
    list_templates,
)
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.lists import DisplayOrder
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_CODES = [f"WALL{n:02}" for n in range(6)]
_NEWEST = FetchMode.NEWEST
_UNKNOWN = "display NONE00 does not exist; check its code, or create it first"


@pytest.fixture
def commands(engine: Engine, redis: Redis) -> Commands:
    """Changes on a wall of six displays without playlists."""
    add_posts(engine, "cat", 12)
    add_posts(engine, "dog", 12, prefix="d")
    for code in _CODES:
        add_display(engine, code)
    timelines = TimelineService(engine, window=5, candidates_per_pool=50)
    return Commands(engine, redis, timelines, ttl=1_000, pool_size=50)


@pytest.fixture
def many(commands: Commands) -> ManyDisplays:
    """Changes of many displays."""
    return commands.many


def _problems(outcomes: object) -> dict[str, str | None]:
    return {each.display_id: each.problem for each in outcomes}  # type: ignore[attr-defined]


def _plays(commands: Commands, code: str) -> list[str]:
    view = commands.timeline(code)
    return [pick.search_term for pick in (*view.next, *view.planned)]


def _blocks(engine: Engine, playlist_id: UUID) -> list[tuple[str, int, int]]:
    with engine.connect() as connection:
        rows = connection.execute(
            text(
                "SELECT search_term, video_count, block_order FROM playlist_blocks"
                " WHERE playlist_id = :id ORDER BY block_order"
            ),
            {"id": playlist_id},
        )
        return [tuple(row) for row in rows]


def test_a_playlist_is_copied_to_many_and_played(
    engine: Engine, commands: Commands, many: ManyDisplays
) -> None:
    source = add_playlist(engine, "WALL00", [("cat", 2), ("dog", 1)])
    found = many.copy_playlist(source, ["WALL02", "NONE00", "WALL01", "WALL02"])
    assert [(each.display_id, each.problem) for each in found] == [
        ("WALL02", None),
        ("NONE00", _UNKNOWN),
        ("WALL01", None),
    ]
    for code in ("WALL01", "WALL02"):
        assert _plays(commands, code)[:3] == ["cat", "cat", "dog"]
    assert {each.playlist_id for each in found} & {source} == set()
    # The outbox is empty: they were settled before the answer. The source was not touched.
    with engine.connect() as connection:
        assert not {"WALL01", "WALL02"} & set(changed_displays(connection))
    with pytest.raises(PlaylistNotFoundError):
        many.copy_playlist(uuid4(), ["WALL01"])


def test_a_playlist_is_activated_by_its_name(
    engine: Engine, commands: Commands, many: ManyDisplays
) -> None:
    for code in _CODES[:2]:
        commands.create_playlist(code, "Day", [BlockDraft("cat", 1)])
        commands.create_playlist(code, "Night", [BlockDraft("dog", 1)])
    found = many.activate([*_CODES[:3]], "Day")
    assert _problems(found) == {
        "WALL00": None,
        "WALL01": None,
        "WALL02": "it has no playlist named 'Day'",
    }
    assert [_plays(commands, code)[0] for code in _CODES[:2]] == ["cat", "cat"]


def test_displays_pause_and_play_together(engine: Engine, many: ManyDisplays) -> None:
    assert _problems(many.set_playback([*_CODES, "NONE00"], "paused"))["NONE00"] is not None
    states = {code: each.playback_state for code, each in Queries(engine).displays().items()}
    assert states == dict.fromkeys(_CODES, "paused")


def test_displays_are_tagged_found_and_deleted(engine: Engine, many: ManyDisplays) -> None:
    assert set(_problems(many.tag(_CODES[:4], ["Lobby", "east"], [])).values()) == {None}
    many.tag(_CODES[:1], [], ["east", "unknown"])
    reads = Queries(engine)
    assert reads.tags() == {"east": 3, "lobby": 4}
    page = reads.display_page(DisplayOrder.CODE, None, 2, None, "EAST")
    assert [record.id for _, record in page.rows] == _CODES[1:3]
    assert page.has_next
    assert reads.displays(["WALL00"])["WALL00"].tags == ["lobby"]
    for wrong in (["a,b"], ["a b"], [""], ["x" * 41], ["\x00"]):
        with pytest.raises(InvalidInputError):
            many.tag(_CODES, wrong, [])
    assert set(_problems(many.delete([*_CODES[:2], "NONE00"])).items()) == {
        ("WALL00", None), ("WALL01", None), ("NONE00", _UNKNOWN),
    }  # fmt: skip
    assert set(reads.displays()) == set(_CODES[2:])
    assert reads.tags() == {"east": 2, "lobby": 2}


def test_a_display_has_a_limited_number_of_tags(engine: Engine, many: ManyDisplays) -> None:
    many.tag(["WALL00"], [f"t{n}" for n in range(20)], [])
    found = _problems(many.tag(["WALL00", "WALL01"], ["one"], []))
    assert found == {"WALL00": "it would have more than 20 tags; remove some first", "WALL01": None}
    assert Queries(engine).tags()["one"] == 1


@pytest.mark.parametrize("codes", [[], [f"A{n:05}" for n in range(1_001)]])
def test_none_and_too_many_are_refused(many: ManyDisplays, codes: list[str]) -> None:
    changes: list[Callable[[], object]] = [
        lambda: many.set_playback(codes, "paused"),
        lambda: many.delete(codes),
        lambda: many.activate(codes, "Day"),
    ]
    for change in changes:
        with pytest.raises(InvalidInputError, match="display_ids"):
            change()


def test_followers_are_edited_with_their_template(
    engine: Engine, commands: Commands, many: ManyDisplays
) -> None:
    template = many.create_template("Day", [BlockDraft("cat", 2, _NEWEST), BlockDraft("dog", 1)])
    followed = {e.display_id: e.playlist_id for e in many.follow(_CODES[:3], template)}
    again = {e.display_id: e.playlist_id for e in many.follow(_CODES[:3], template)}
    assert again == followed
    with engine.connect() as connection:
        before = active_versions(connection, _CODES[:3])
        ids = set(connection.scalars(text("SELECT id FROM playlist_blocks")))
    # One differs by plain SQL, and is made equal again.
    odd = followed["WALL02"]
    run(engine, f"UPDATE playlist_blocks SET video_count = 9 WHERE playlist_id = '{odd}'")
    edited = [BlockDraft("dog", 1), BlockDraft("cat", 2, _NEWEST), BlockDraft("cat", 1)]
    assert _problems(many.edit_template(template, edited)) == dict.fromkeys(_CODES[:3])
    for code, playlist_id in followed.items():
        assert playlist_id is not None
        assert _blocks(engine, playlist_id) == [("dog", 1, 0), ("cat", 2, 1), ("cat", 1, 2)]
        assert _plays(commands, code)[:4] == ["dog", "cat", "cat", "cat"]
    with engine.connect() as connection:
        after = active_versions(connection, _CODES[:3])
        kept = ids & set(connection.scalars(text("SELECT id FROM playlist_blocks")))
        totals = connection.execute(text("SELECT total_blocks, total_videos FROM playlists"))
        assert {tuple(row) for row in totals} == {(3, 4)}
    assert all(before[code] != after[code] for code in _CODES[:3])
    # Each of the two that were equal keeps one of its blocks in place.
    assert len(kept) >= 2
    assert many.edit_template(template, edited) == []


def test_an_edit_that_is_not_settled_is_in_the_outbox(engine: Engine, many: ManyDisplays) -> None:
    template = many.create_template("Day", [BlockDraft("cat", 2)])
    many.follow(_CODES[:3], template)
    with engine.connect() as connection:
        assert not set(_CODES[:3]) & set(changed_displays(connection))
    # As when the process is killed after the transaction.
    edit_template(engine, template, [BlockDraft("dog", 2)])
    with engine.connect() as connection:
        assert set(_CODES[:3]) <= set(changed_displays(connection))


def test_a_detached_playlist_goes_its_own_way(
    engine: Engine, commands: Commands, many: ManyDisplays
) -> None:
    template = many.create_template("Day", [BlockDraft("cat", 2)])
    followed = {e.display_id: e.playlist_id for e in many.follow(_CODES[:2], template)}
    own = followed["WALL00"]
    assert own is not None
    with pytest.raises(InvalidInputError, match="is that of the template"):
        replace_blocks(engine, own, [BlockDraft("dog", 1)])
    many.detach(own)
    assert list_templates(engine)[0].followers == ("WALL01",)
    replace_blocks(engine, own, [BlockDraft("dog", 1)])
    many.edit_template(template, [BlockDraft("cat", 3)])
    assert _blocks(engine, own) == [("dog", 1, 0)]
    with pytest.raises(InvalidInputError, match="follows no template"):
        many.detach(own)
    many.delete_template(template)
    other = followed["WALL01"]
    assert other is not None
    assert _blocks(engine, other) == [("cat", 3, 0)]
    replace_blocks(engine, other, [BlockDraft("dog", 1)])


@pytest.mark.parametrize(
    "change",
    [
        lambda many, gone: many.edit_template(gone, [BlockDraft("cat", 1)]),
        lambda many, gone: many.rename_template(gone, "x"),
        lambda many, gone: many.delete_template(gone),
        lambda many, gone: many.follow(["WALL00"], gone),
    ],
)
def test_an_unknown_template_is_refused(
    many: ManyDisplays, change: Callable[[ManyDisplays, UUID], object]
) -> None:
    with pytest.raises(TemplateNotFoundError):
        change(many, uuid4())
