"""What is excluded leaves plans and queues at once, and plans are as if it did not exist."""

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.blocklist import MAX_NOTE, Kind, Target, check_target
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.counts.reads import sample_recount, stale_counts
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.many import ManyDisplays
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.excluding import (
    allow,
    check_excluded,
    concerned_displays,
    exclude,
    list_blocklist,
)
from sorafeed_assets.services.timelines.previewing import preview
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.timelines.views import timeline_view
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.catalog.blocklist import note_changed
from sorafeed_assets_tests.catalogue import (
    add_display,
    add_playlist,
    add_posts,
    queue_of,
    run,
    videos_of,
)
from sorafeed_assets_tests.statements import plans_of

D: Final = "AAAAAA"
WINDOW, POOL = 4, 3
TERMS: Final = ("cat", "dog")
LINES: Final = st.lists(
    st.tuples(
        st.sampled_from([*TERMS, "video"]),
        st.integers(1, 6),
        st.sampled_from(["newest", "random"]),
        st.sampled_from(["mixed", "wide"]),
    ),
    min_size=1,
    max_size=3,
)


def _post(post_id: str) -> Target:
    return Target(Kind.POST, post_id)


ANN: Final = Target(Kind.CREATOR, "ann")


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    """A display without a playlist, and sixteen posts by two creators."""
    add_display(engine, D)
    for term in TERMS:
        add_posts(engine, term, 6, size=(640, 352))
        add_posts(engine, term, 2, start=6, size=(352, 640))
        watch_term(engine, term)
    watch_term(engine, "video")
    run(engine, "UPDATE sora_posts SET creator_id = 'ann' WHERE id ~ '[0369]$'")
    kept = "SELECT id, creator_id, text, posted_at, width, height FROM sora_posts"
    run(engine, f"CREATE TABLE kept AS {kept}")
    refresh_days(engine, None, pool_size=POOL)
    return TimelineService(engine, window=WINDOW, candidates_per_pool=POOL)


def _plan(engine: Engine, service: TimelineService) -> Any:
    outcome = service.repopulate([D])[D]
    assert isinstance(outcome, BuildOutcome)
    ((plan,),) = run(
        engine,
        "SELECT b.plan FROM timeline_builds b JOIN displays d ON d.active_build_id = b.id",
    )
    return plan


def _posts_of(plan: Any) -> set[str]:
    return {pick["video_id"] for loop in plan["loops"] for pick in loop["picks"]}


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=LINES,
    posts=st.sets(st.sampled_from([f"{term}-000{n}" for term in TERMS for n in range(8)])),
    creators=st.sets(st.sampled_from(["ann", "c1"]), max_size=1),
    is_counted_first=st.booleans(),
)
def test_a_plan_is_as_if_excluded_posts_did_not_exist(
    engine: Engine,
    service: TimelineService,
    lines: list[tuple[str, int, str, str]],
    posts: set[str],
    creators: set[str],
    *,
    is_counted_first: bool,
) -> None:
    run(engine, "DELETE FROM playlists")
    run(engine, "DELETE FROM blocklist")
    run(engine, "INSERT INTO sora_posts (id, creator_id, text, posted_at, width, height)"
                " SELECT * FROM kept ON CONFLICT DO NOTHING")  # fmt: skip
    refresh_days(engine, None, pool_size=POOL)
    playlist = add_playlist(engine, D, lines)
    if not is_counted_first:
        service.repopulate([D])
    targets = [*map(_post, sorted(posts)), *(Target(Kind.CREATOR, each) for each in creators)]
    for target in targets:
        exclude(engine, target, by="test")
    # At once: no plan has an excluded post, although counts and pools do not know it yet.
    gone = {
        row.id
        for row in run(engine, "SELECT id, creator_id FROM sora_posts")
        if row.id in posts or row.creator_id in creators
    }
    assert _posts_of(_plan(engine, service)).isdisjoint(gone)
    refresh_days(engine, None, pool_size=POOL)
    excluded = _plan(engine, service)
    drafts = [
        BlockDraft(term, count, FetchMode(mode), Format(format_), block)
        for term, count, mode, format_, block in _blocks(engine)
    ]
    shown = preview(engine, D, playlist, drafts, pool_size=POOL)
    view = timeline_view(engine, D)
    stored = [p.video_id for p in (*view.next, *view.planned)][: len(shown.videos)]
    assert [p.video_id for p in shown.videos][: len(stored)] == stored
    assert all(s.stored == s.recounted for s in sample_recount(engine, seed=0, size=5))
    # The same posts, deleted in place of excluded.
    run(engine, "DELETE FROM blocklist")
    run(engine, "DELETE FROM sora_posts WHERE id = ANY(:gone)", gone=sorted(gone))
    refresh_days(engine, None, pool_size=POOL)
    assert _plan(engine, service) == excluded


def _blocks(engine: Engine) -> Sequence[Any]:
    return run(
        engine,
        "SELECT search_term, video_count, fetch_mode, format, id FROM playlist_blocks"
        " ORDER BY block_order",
    )


def test_allowing_again_gives_the_plan_before(engine: Engine, service: TimelineService) -> None:
    add_playlist(engine, D, [("cat", 3), ("video", 4, "random")])
    before = _plan(engine, service)
    exclude(engine, ANN, by="test")
    exclude(engine, _post("cat-0007"), by="test")
    refresh_days(engine, None, pool_size=POOL)
    assert _plan(engine, service) != before
    assert allow(engine, ANN)
    assert allow(engine, _post("cat-0007"))
    assert not allow(engine, ANN)
    refresh_days(engine, None, pool_size=POOL)
    assert _plan(engine, service) == before


def test_a_video_on_screen_leaves_when_it_is_excluded(
    engine: Engine, service: TimelineService
) -> None:
    add_playlist(engine, D, [("cat", 3), ("dog", 2)])
    service.repopulate([D])
    head = queue_of(engine, D)[0]
    assert service.playback.begin(D, head.id, lambda _connection, _free: None)[0]
    service.repopulate([D])
    assert queue_of(engine, D)[0].id == head.id
    exclude(engine, _post(head.video_id), by="test")
    service.repopulate([D])
    after = queue_of(engine, D)
    assert head.video_id not in videos_of(engine, D)
    assert (after[0].timeline_position, after[0].status) == (head.timeline_position, "queued")


def test_plays_queue_no_excluded_post_of_an_old_plan(
    engine: Engine, service: TimelineService
) -> None:
    add_playlist(engine, D, [("cat", 3), ("dog", 5)])
    service.repopulate([D])
    # By plain SQL, so that nothing is planned again.
    run(
        engine,
        "INSERT INTO blocklist (kind, target_id, excluded_by) VALUES ('creator', 'ann', 'test')",
    )
    for _ in range(WINDOW):
        service.playback.advance(D, queue_of(engine, D)[0].id)
    ann = {row.id for row in run(engine, "SELECT id FROM sora_posts WHERE creator_id = 'ann'")}
    assert ann.isdisjoint(videos_of(engine, D))
    assert len(videos_of(engine, D)) == WINDOW
    assert check_excluded(engine, [D]) == {}


def test_only_the_displays_concerned_are_planned_again(
    engine: Engine, service: TimelineService, settings: Settings
) -> None:
    for code, term in (("BBBBBB", "dog"), ("CCCCCC", "cat")):
        add_display(engine, code)
        add_playlist(engine, code, [(term, 4)])
    add_playlist(engine, D, [("cat", 3)])
    service.repopulate([D, "BBBBBB", "CCCCCC"])
    assert concerned_displays(engine, _post("cat-0005")) == [D, "CCCCCC"]
    service.playback.advance(D, queue_of(engine, D)[2].id)  # it has played the cats 7, 6 and 5
    run(engine, "DELETE FROM display_changes")  # those of the triggers, when they were written
    builds = "SELECT display_id, max(id) AS id FROM timeline_builds GROUP BY 1"
    before = {row.display_id: row.id for row in run(engine, builds)}
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        many = ManyDisplays(engine, Settler(engine, redis, service, ttl=100))
        excluded, outcomes = many.exclude(_post("cat-0005"), by="the operator", note=" rude ")
        assert concerned_displays(engine, _post("cat-0005")) == []
        again, nothing = many.exclude(_post("cat-0005"), by="another", note="second")
    assert [each.display_id for each in outcomes] == list(excluded.displays)
    assert "CCCCCC" in excluded.displays
    assert "BBBBBB" not in excluded.displays
    assert all(each.problem is None for each in outcomes)
    assert (excluded.is_new, again.is_new, nothing) == (True, False, [])
    assert again.entry == excluded.entry
    assert (excluded.entry.note, excluded.entry.excluded_by) == ("rude", "the operator")
    assert excluded.entry.label is not None
    assert "cat-0005" in excluded.entry.label
    assert list_blocklist(engine, 5) == [excluded.entry]
    assert "cat-0005" not in videos_of(engine, "CCCCCC")
    after = {row.display_id: row.id for row in run(engine, builds)}
    assert after["CCCCCC"] > before["CCCCCC"]
    assert after["BBBBBB"] == before["BBBBBB"]
    assert run(engine, "SELECT FROM display_changes") == []
    recorded = run(engine, "SELECT data_version FROM lineage_records WHERE partition = 'CCCCCC'"
                           " AND asset = 'display_timelines' ORDER BY id DESC LIMIT 1")  # fmt: skip
    hashed = run(engine, "SELECT content_hash AS data_version FROM timeline_builds b"
                         " JOIN displays d ON d.active_build_id = b.id"
                         " WHERE d.id = 'CCCCCC'")  # fmt: skip
    assert recorded == hashed


def test_what_cannot_be_excluded_is_refused(engine: Engine, service: TimelineService) -> None:
    del service
    for kind, target_id, field in (
        ("video", "cat-0001", "kind"),
        ("post", "  ", "id"),
        ("post", "x" * 201, "id"),
        ("post", "a\x00b", "id"),
    ):
        with pytest.raises(InvalidInputError, match=f"^{field}: "):
            check_target(kind, target_id)
    for target in (_post("none"), Target(Kind.CREATOR, "none")):
        with pytest.raises(NotFoundError, match="the catalogue has no"):
            exclude(engine, target, by="test")
        with pytest.raises(NotFoundError, match="the catalogue has no"):
            concerned_displays(engine, target)
    with pytest.raises(InvalidInputError, match="note: "):
        exclude(engine, ANN, by="test", note="x" * (MAX_NOTE + 1))
    assert list_blocklist(engine, 5) == []


def test_what_waits_is_read_once_for_all_posts_of_a_creator(engine: Engine) -> None:
    run(
        engine,
        """
        INSERT INTO sora_posts (id, creator_id, text, indexed_at, posted_at, width, height)
        SELECT 'many' || n, 'prolific', 'a cat', now(), now(), 1, 1 FROM generate_series(1, 3000) n
        """,
    )
    run(engine, "DELETE FROM catalog_changes")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # The statistics of an outbox that has just been emptied.
        connection.execute(text("VACUUM ANALYZE catalog_changes, sora_posts"))
    exclude(engine, Target(Kind.CREATOR, "prolific"), by="test")
    with (
        engine.begin() as connection,
        plans_of(connection, lambda each: "INSERT INTO catalog_changes" in each) as plans,
    ):
        assert note_changed(connection) == 3_000
    [plan] = plans
    [scan] = [each for each in plan.nodes if each.get("Relation Name") == "catalog_changes"
              and each["Node Type"].endswith("Scan")]  # fmt: skip
    assert scan.get("Subplan Name") == "CTE waiting"


def test_the_list_is_read_in_pages(engine: Engine, service: TimelineService) -> None:
    del service
    targets = [_post("cat-0001"), ANN, _post("dog-0001")]
    for target in targets:
        exclude(engine, target, by="test")
    first = list_blocklist(engine, 2)
    assert [Target(each.kind, each.target_id) for each in first] == targets[:0:-1]
    last = first[-1]
    (rest,) = list_blocklist(engine, 2, (last.excluded_at, Target(last.kind, last.target_id)))
    assert rest.target_id == "cat-0001"


def test_counting_that_does_not_follow_is_told(engine: Engine, service: TimelineService) -> None:
    del service
    exclude(engine, ANN, by="test")
    assert stale_counts(engine, older_than_hours=1) == []
    run(engine, "UPDATE blocklist SET excluded_at = now() - interval '2 hours'")
    (line,) = stale_counts(engine, older_than_hours=1)
    assert "creator ann is excluded, but counted, since" in line
    refresh_days(engine, None, pool_size=POOL)
    assert stale_counts(engine, older_than_hours=1) == []
