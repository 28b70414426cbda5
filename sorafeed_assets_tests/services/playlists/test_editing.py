"""Displays and playlists on a real database: creating, editing, activating."""

from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, choose_active, draft_block
from sorafeed_assets.services.playlists.activation import activate_by_hand, active_versions
from sorafeed_assets.services.playlists.deleting import delete_display, delete_playlist
from sorafeed_assets.services.playlists.displays import create_display, list_displays
from sorafeed_assets.services.playlists.editing import (
    create_playlist,
    list_playlists,
    rename_playlist,
    replace_blocks,
)
from sorafeed_assets.storage.playlists.rows import load_playlists
from sorafeed_assets_tests.cache_data import store_queue
from sorafeed_assets_tests.statements import statements_of
from sorafeed_assets_tests.wall import activate_pending, undecided


def _drafts(*terms: str) -> list[BlockDraft]:
    return [BlockDraft(term, 2) for term in terms]


def _block_ids(engine: Engine, playlist_id: UUID) -> list[UUID]:
    with engine.connect() as connection:
        found = [p for p in load_playlists(connection) if p.id == playlist_id]
    return [block.id for block in found[0].blocks]


def _versions(engine: Engine, *display_ids: str) -> dict[str, str]:
    """Of these displays, or all."""
    with engine.connect() as connection:
        return active_versions(connection, display_ids or None)


def test_a_display_gets_a_code(engine: Engine) -> None:
    code = create_display(engine, None, " Lobby ")
    assert len(code) == 6
    assert create_display(engine, "ABC123", "Hall") == "ABC123"
    assert {(d.id, d.name, d.status) for d in list_displays(engine)} == {
        (code, "Lobby", "offline"),
        ("ABC123", "Hall", "offline"),
    }


@pytest.mark.parametrize(("code", "name"), [("abc123", "x"), ("ABC123", " "), ("TAKEN1", "x")])
def test_a_bad_display_is_refused(engine: Engine, code: str, name: str) -> None:
    create_display(engine, "TAKEN1", "first")
    with pytest.raises(InvalidInputError):
        create_display(engine, code, name)
    assert [d.name for d in list_displays(engine)] == ["first"]


def test_a_playlist_keeps_its_totals(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    playlist = create_playlist(
        engine, display, " Evening ", [BlockDraft("a", 3), BlockDraft("b", 4)]
    )
    replace_blocks(engine, playlist, [BlockDraft("a", 3), BlockDraft("c", 5), BlockDraft("b", 4)])
    [summary] = list_playlists(engine, display)
    assert (summary.name, summary.blocks, summary.videos) == ("Evening", 3, 12)
    with engine.connect() as connection:
        totals = connection.execute(text("SELECT total_blocks, total_videos FROM playlists")).one()
    assert tuple(totals) == (3, 12)


def test_bad_playlists_are_refused_and_nothing_is_stored(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    with pytest.raises(InvalidInputError, match="blocks"):
        create_playlist(engine, display, "x", [])
    with pytest.raises(InvalidInputError, match="name"):
        create_playlist(engine, display, " ", _drafts("a"))
    with pytest.raises(NotFoundError, match="NOSUCH"):
        create_playlist(engine, "NOSUCH", "x", _drafts("a"))
    assert list_playlists(engine) == []


def test_what_is_unknown_is_not_found(engine: Engine) -> None:
    for action in (
        lambda: delete_display(engine, "NOSUCH"),
        lambda: list_playlists(engine, "NOSUCH"),
        lambda: rename_playlist(engine, uuid4(), "x"),
        lambda: delete_playlist(engine, uuid4()),
        lambda: replace_blocks(engine, uuid4(), _drafts("a")),
        lambda: activate_by_hand(engine, uuid4()),
    ):
        with pytest.raises(NotFoundError):
            action()


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["", " -", "\x1c-"]))
def test_every_accepted_search_passes_the_constraints(
    session_engine: Engine, words: str, tail: str
) -> None:
    try:
        term = draft_block(0, words + tail + words, 1).search_term
    except InvalidInputError:
        return
    with session_engine.connect() as connection:
        passes = connection.scalar(
            text(r"SELECT :t ~ '(^|\s)[^-\s]' AND :t !~ '(^|\s)-(\s|$)'"), {"t": term}
        )
    assert passes


@pytest.mark.parametrize("odd", ["-x\x1cy", "a\x1f -b", "\u3000a\u2028b", "İ\u0085\xa0ß"])
def test_whatever_the_rules_accept_can_be_stored(engine: Engine, odd: str) -> None:
    display = create_display(engine, None, "x")
    create_playlist(engine, display, "x", [draft_block(0, odd, 1)])
    assert list_playlists(engine, display)[0].blocks == 1


def test_unchanged_blocks_keep_their_ids(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    playlist = create_playlist(engine, display, "x", _drafts("a", "b", "c"))
    before = _block_ids(engine, playlist)
    assert replace_blocks(engine, playlist, _drafts("n", "a", "c", "m"))
    after = _block_ids(engine, playlist)
    assert after[1:3] == [before[0], before[2]]
    assert not set(before) & {after[0], after[3]}


def test_equal_blocks_write_nothing(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    playlist = create_playlist(engine, display, "x", _drafts("a", "b"))
    with statements_of(engine) as seen:
        assert not replace_blocks(engine, playlist, _drafts("a", "b"))
    assert not [s for s in seen if s.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))]


def test_renaming_keeps_the_version_and_editing_changes_it(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    empty = create_display(engine, None, "y")
    playlist = create_playlist(engine, display, "x", _drafts("a"))
    assert _versions(engine) == {display: "none", empty: "none"}
    activation = activate_pending(engine)[display]
    versions = _versions(engine, display, "NOSUCH")
    assert versions == {display: f"{playlist}:{activation.version}"}
    rename_playlist(engine, playlist, "other")
    assert _versions(engine, display) == versions
    replace_blocks(engine, playlist, _drafts("b"))
    assert _versions(engine, display) != versions


_CURRENT = text("""
UPDATE displays d SET current_playlist_id = v.playlist_id, current_block_id = v.block_id,
       current_timeline_video_id = v.id, timeline_position = 2
FROM timeline_videos v WHERE v.display_id = d.id
""")
_PLAY = text("""
INSERT INTO video_history (display_id, video_id, block_id, loop_iteration)
SELECT display_id, video_id, block_id, 0 FROM timeline_videos
""")
_STATE = text("""
SELECT active_build_id, current_playlist_id, current_block_id, current_timeline_video_id,
       timeline_position, (SELECT count(*) FROM timeline_videos)
FROM displays
""")


def _play(engine: Engine, display: str) -> int:
    build = store_queue(engine, display, 1)
    with engine.begin() as connection:
        connection.execute(_CURRENT)
        connection.execute(_PLAY)
    return build


def _plays(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(connection.execute(text("SELECT FROM video_history")).all())


def test_deleting_a_playlist_keeps_plays_and_clears_the_display(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    _play(engine, display)
    [playing] = list_playlists(engine)
    delete_playlist(engine, playing.id)
    with engine.connect() as connection:
        assert tuple(connection.execute(_STATE).one()) == (None, None, None, None, 0, 0)
    assert _plays(engine) == 1


def test_deleting_another_playlist_leaves_the_queue_alone(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    build = _play(engine, display)
    [playing] = list_playlists(engine)
    delete_playlist(engine, create_playlist(engine, display, "other", _drafts("a")))
    with engine.connect() as connection:
        state = connection.execute(_STATE).one()
    assert (state[0], state[1], state[4], state[5]) == (build, playing.id, 2, 1)


def test_deleting_a_display_that_plays_keeps_its_plays(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    _play(engine, display)
    delete_display(engine, display)
    assert list_displays(engine) == []
    assert list_playlists(engine) == []
    assert _plays(engine) == 1


def test_activation_answers_for_every_display(engine: Engine) -> None:
    busy, idle = create_display(engine, "BBBBBB", "x"), create_display(engine, "AAAAAA", "y")
    playlist = create_playlist(engine, busy, "x", _drafts("a"))
    assert undecided(engine) == {busy}
    first = activate_pending(engine)
    assert list(first) == [idle, busy]
    assert (first[idle].playlist_id, first[idle].version, first[idle].changed) == (
        None,
        None,
        False,
    )
    assert (first[busy].playlist_id, first[busy].changed) == (playlist, True)
    assert activate_pending(engine, [busy, "NOSUCH"]).keys() == {busy}
    assert list_displays(engine)[1].active_playlist == "x"


def test_nothing_to_activate_writes_nothing(engine: Engine) -> None:
    display = create_display(engine, None, "x")
    create_playlist(engine, display, "x", _drafts("a"))
    activate_pending(engine)
    with statements_of(engine) as seen:
        assert not activate_pending(engine)[display].changed
    assert seen
    assert not [s for s in seen if s.lstrip().startswith(("UPDATE", "DELETE"))]


_STEPS = st.lists(
    st.one_of(
        st.just(("create", 0)),
        st.just(("activate", 0)),
        st.tuples(st.sampled_from(["hand", "delete"]), st.integers(0, 5)),
    ),
    max_size=12,
)


@given(_STEPS)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_happens_the_right_playlist_is_active(
    engine: Engine, steps: list[tuple[str, int]]
) -> None:
    display = create_display(engine, None, "x")
    made: list[UUID] = []
    by_hand: UUID | None = None
    for step, number in steps:
        if step == "create":
            made.append(create_playlist(engine, display, "x", _drafts("a")))
            by_hand = None
        elif step == "activate":
            _activate_and_check(engine, display, made, by_hand)
        elif made and step == "hand":
            by_hand = made[number % len(made)]
            activate_by_hand(engine, by_hand)
            assert display not in undecided(engine)
        elif made:
            gone = made.pop(number % len(made))
            delete_playlist(engine, gone)
            by_hand = None if by_hand == gone else by_hand
        with engine.connect() as connection:
            stored = load_playlists(connection, [display])
        chosen = choose_active(stored)
        is_settled = chosen is None or (chosen.is_active and not any(p.is_new for p in stored))
        assert (display in undecided(engine)) is not is_settled
        assert sum(p.is_active for p in stored) <= 1


def _activate_and_check(
    engine: Engine, display: str, made: list[UUID], by_hand: UUID | None
) -> None:
    with engine.connect() as connection:
        before = load_playlists(connection, [display])
    stays = next((p.id for p in before if p.is_active), None)
    newest = made[-1] if made else None
    expected = newest if stays is None or any(p.is_new for p in before[-1:]) else stays
    assert by_hand in (None, expected)
    activation = activate_pending(engine, [display])[display]
    assert activation.playlist_id == expected
    assert activation.changed == (expected != stays)


def test_many_at_once_leave_exactly_one_active(engine: Engine) -> None:
    displays = [create_display(engine, None, "x") for _ in range(3)]

    def work(number: int) -> UUID:
        display = displays[number % 3]
        made = create_playlist(engine, display, f"p{number}", _drafts("a"))
        activate_pending(engine, displays[::-1])
        return made

    with ThreadPoolExecutor(5) as pool:
        made = list(pool.map(work, range(15)))
    assert len(made) == 15
    assert undecided(engine) == set()
    with engine.connect() as connection:
        for display in displays:
            stored = load_playlists(connection, [display])
            assert len(stored) == 5
            assert [p.is_active for p in stored] == [False] * 4 + [True]
