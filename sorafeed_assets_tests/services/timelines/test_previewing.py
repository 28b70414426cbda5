"""What a preview says is what saving then gives, and a preview writes nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.playlists.editing import (
    create_playlist,
    duplicate_playlist,
    list_playlists,
    replace_blocks,
)
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.previewing import Preview, preview
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.timelines.views import ViewedPick, timeline_view
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.playlists.rows import load_playlists, lock_displays
from sorafeed_assets_tests.catalogue import add_display, add_posts, run

D, WINDOW, POOL = "AAAAAA", 4, 3
DRAFT = st.builds(
    BlockDraft,
    st.sampled_from(["cat", "dog", "bird", "unicorn"]),
    st.integers(1, 5),
    st.sampled_from(FetchMode),
    st.sampled_from([Format.MIXED, Format.WIDE]),
)
DRAFTS = st.lists(DRAFT, min_size=1, max_size=4)
# How a draft is edited: where, and what becomes of the block.
EDITS = st.lists(
    st.tuples(st.integers(0, 4), st.one_of(DRAFT, st.just("remove"), st.just("first"))),
    max_size=3,
)


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    add_display(engine, D)
    for term in ("cat", "dog", "bird"):
        add_posts(engine, term, 6, size=(640, 352))
    return TimelineService(engine, window=WINDOW, candidates_per_pool=POOL)


@contextmanager
def _settler(engine: Engine, service: TimelineService, settings: Settings) -> Iterator[Settler]:
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        yield Settler(engine, redis, service, ttl=100)


def _preview(engine: Engine, playlist: UUID | None, drafts: list[BlockDraft]) -> Preview:
    return preview(engine, D, playlist, drafts, pool_size=POOL)


def _edited(
    drafts: list[BlockDraft], edits: list[tuple[int, BlockDraft | str]]
) -> list[BlockDraft]:
    """The drafts after edits, with at least one block."""
    for at, edit in edits:
        place = min(at, len(drafts) - 1)
        if edit == "remove" and len(drafts) > 1:
            drafts = [*drafts[:place], *drafts[place + 1 :]]
        elif edit == "first":
            drafts = [drafts[place], *drafts[:place], *drafts[place + 1 :]]
        elif isinstance(edit, BlockDraft):
            drafts = [*drafts[:place], edit, *drafts[place + 1 :]]
    return drafts


def _shown(picks: tuple[ViewedPick, ...]) -> list[tuple[object, ...]]:
    """What must be equal; what is queued is not known before."""
    return [
        (p.loop, p.position, p.video_id, p.block_id, p.search_term, p.tier, p.status == "playing")
        for p in picks
    ]


def _plays_now(engine: Engine) -> list[tuple[object, ...]]:
    view = timeline_view(engine, D)
    return _shown(view.ahead[:10])


def _everything(engine: Engine) -> list[Any]:
    tables = ("playlists", "playlist_blocks", "timeline_builds", "timeline_videos", "displays")
    counted = [run(engine, f"SELECT to_jsonb(t) FROM {t} t ORDER BY 1") for t in tables]
    return [*counted, run(engine, "SELECT count(*) FROM lineage_records")]


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=DRAFTS,
    edits=EDITS,
    plays=st.integers(0, 12),
    begins=st.booleans(),
    is_new=st.booleans(),
)
def test_a_preview_is_what_saving_then_gives(
    engine: Engine,
    service: TimelineService,
    settings: Settings,
    first: list[BlockDraft],
    edits: list[tuple[int, BlockDraft | str]],
    plays: int,
    *,
    begins: bool,
    is_new: bool,
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM playlists"))
        connection.execute(text("DELETE FROM video_history"))
    with _settler(engine, service, settings) as settler:
        playlist = create_playlist(engine, D, "show", first)
        settler.publish([D])
        for _ in range(plays):
            head = run(engine, "SELECT current_timeline_video_id AS id FROM displays")[0].id
            if head is not None:
                service.playback.advance(D, head)
        if begins and (
            head := run(engine, "SELECT current_timeline_video_id AS id FROM displays")[0].id
        ):
            service.playback.begin(D, head, lambda _connection, _ids: None)
        before, drafts = _everything(engine), _edited(first, edits)
        seen = _preview(engine, None if is_new else playlist, drafts)
        assert _everything(engine) == before
        assert _shown(seen.now) == _plays_now(engine)

        given_out = [replace(d, id=b.id) for d, b in zip(drafts, seen.blocks, strict=True)]
        if is_new:
            create_playlist(engine, D, "new", given_out)
        else:
            replace_blocks(engine, playlist, given_out)
        settler.publish([D], ahead=10)
    assert _shown(seen.videos) == _plays_now(engine)
    view = timeline_view(engine, D)
    assert dict(view.dry_blocks) == dict(seen.dry_blocks)
    assert (view.loop, view.position) == (seen.loop, seen.position)
    [stored] = [p for p in load_playlists_of(engine) if p.is_active]
    assert stored.blocks == seen.blocks


def load_playlists_of(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return load_playlists(connection, [D])


def test_a_preview_says_what_changes(
    engine: Engine, service: TimelineService, settings: Settings
) -> None:
    cats, dogs = BlockDraft("cat", 2, FetchMode.NEWEST), BlockDraft("dog", 2, FetchMode.NEWEST)
    playlist = create_playlist(engine, D, "show", [cats, dogs])
    with _settler(engine, service, settings) as settler:
        settler.publish([D])
    seen = _preview(engine, playlist, [cats, BlockDraft("unicorn", 1), dogs])
    assert (seen.same, seen.starts_over, seen.is_active) == (4, False, True)
    assert list(seen.dry_blocks.values()) == ["unicorn"]
    seen = _preview(engine, playlist, [cats, BlockDraft("bird", 1, FetchMode.NEWEST), dogs])
    assert (seen.same, seen.loop, seen.position) == (2, 0, 0)
    assert [video.search_term for video in seen.videos[:5]] == ["cat", "cat", "bird", "dog", "dog"]
    seen = _preview(engine, None, [cats])
    assert (seen.same, seen.starts_over) == (0, True)
    seen = _preview(engine, playlist, [BlockDraft("cat", 10, FetchMode.NEWEST)])
    assert [video.tier for video in seen.videos] == ["new"] * 6 + ["repeat"] * 4


def test_an_inactive_playlist_can_be_previewed_and_duplicated(
    engine: Engine, service: TimelineService, settings: Settings
) -> None:
    cats, dogs = BlockDraft("cat", 2, FetchMode.NEWEST), BlockDraft("dog", 2, FetchMode.NEWEST)
    old = create_playlist(engine, D, "old", [cats])
    create_playlist(engine, D, "show", [dogs])
    _, copy = duplicate_playlist(engine, old, "copy")
    with _settler(engine, service, settings) as settler:
        settler.publish([D])
        playing = {p.name: p.is_active for p in list_playlists(engine, D)}
        assert playing == {"old": False, "show": True, "copy": False}
        seen = _preview(engine, copy, [cats, dogs])
        assert (seen.starts_over, seen.is_active) == (True, False)
        assert [video.search_term for video in seen.now[:2]] == ["dog", "dog"]
        assert [video.search_term for video in seen.videos[:4]] == ["cat", "cat", "dog", "dog"]


def test_a_preview_waits_for_nobody(
    engine: Engine, service: TimelineService, settings: Settings
) -> None:
    playlist = create_playlist(engine, D, "show", [BlockDraft("cat", 2)])
    with _settler(engine, service, settings) as settler:
        settler.publish([D])
    with engine.begin() as other:
        lock_displays(other, [D])
        assert len(_preview(engine, playlist, [BlockDraft("dog", 2)]).videos) == 10


def test_an_id_of_another_block_is_refused(engine: Engine, service: TimelineService) -> None:
    playlist = create_playlist(engine, D, "show", [BlockDraft("cat", 2)])
    [stored] = [p for p in load_playlists_of(engine) if p.id == playlist]
    taken = BlockDraft("dog", 2, id=stored.blocks[0].id)
    twice = BlockDraft("dog", 2, id=uuid4())
    for drafts, wrong in (
        ([BlockDraft("cat", 2), taken], r"blocks\[1\]\.id: is that of another block"),
        ([twice, replace(twice, search_term="bird")], r"blocks\[1\]\.id: is also that of"),
    ):
        for work in (
            lambda drafts=drafts: _preview(engine, playlist, drafts),
            lambda drafts=drafts: replace_blocks(engine, playlist, drafts),
            lambda drafts=drafts: create_playlist(engine, D, "other", drafts),
        ):
            with pytest.raises(InvalidInputError, match=wrong):
                work()
    assert [p.blocks for p in load_playlists_of(engine)] == [stored.blocks]


def test_what_is_unknown_is_not_found(engine: Engine, service: TimelineService) -> None:
    with pytest.raises(NotFoundError, match="NOSUCH"):
        preview(engine, "NOSUCH", None, [BlockDraft("cat", 1)])
    with pytest.raises(NotFoundError, match="playlist"):
        _preview(engine, uuid4(), [BlockDraft("cat", 1)])
    with pytest.raises(InvalidInputError, match="blocks"):
        _preview(engine, None, [])
