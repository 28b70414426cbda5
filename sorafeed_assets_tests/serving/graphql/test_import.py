"""Any CSV is imported whole or refused with nothing stored."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api
from sorafeed_assets_tests.wall import add_display, add_posts

IMPORT = """
mutation ($csv: String!) {
  importPlaylist(displayId: "CSVS01", name: "file", csv: $csv) {
    problem
    playlist { blocks { search videoCount } }
  }
}
"""
STORED = """
SELECT (SELECT count(*) FROM playlists), (SELECT count(*) FROM playlist_blocks)
"""
_cells = st.one_of(
    st.sampled_from(["cat", "dog -cat", "", "-x", "3", "0", "501", '"cat, dog"', 'a"b', "\x00"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
)
_lines = st.tuples(st.sampled_from(["cat", "dog", "%"]), st.integers(0, 9).map(str)) | st.tuples(
    _cells, _cells
)
_files = st.lists(_lines, max_size=4).map(
    lambda lines: "\n".join(["search_term,video_count", *map(",".join, lines)])
)


def _read(text: str) -> tuple[BlockDraft, ...] | None:
    try:
        return parse_playlist_csv(text)
    except InvalidInputError:
        return None


def test_a_file_is_imported_whole_or_not_at_all(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    add_display(engine, "CSVS01")
    outcomes: set[bool] = set()

    @settings(
        max_examples=30,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_files)
    def check(text: str) -> None:
        before = run(engine, STORED)
        body = admin.post(IMPORT, csv=text).json()
        drafts = _read(text)
        if drafts is None:
            (shown,) = body["errors"]
            assert shown["extensions"]["code"] == "BAD_USER_INPUT"
            assert run(engine, STORED) == before
            outcomes.add(False)
            return
        blocks = body["data"]["importPlaylist"]["playlist"]["blocks"]
        assert [(each["search"], each["videoCount"]) for each in blocks] == [
            (draft.search_term, draft.video_count) for draft in drafts
        ]
        outcomes.add(True)

    check()
    assert outcomes == {True, False}
