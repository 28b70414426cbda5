"""Playlist files: what is read, and which line an error names."""

import csv
import io
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode, draft_block

_WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20
)


def _is_query(raw: str) -> bool:
    try:
        draft_block(0, raw, 1)
    except InvalidInputError:
        return False
    return True


_DRAFTS = st.builds(
    lambda term, count, mode, format_: draft_block(0, term, count, mode, format_),
    _WORDS.filter(_is_query),
    st.integers(1, 500),
    st.sampled_from(FetchMode),
    st.sampled_from(Format),
)


@given(
    st.lists(_DRAFTS, min_size=1, max_size=6),
    st.permutations(["search_term", "video_count", "fetch_mode", "format"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_what_is_written_is_read_back(
    drafts: list[BlockDraft], columns: list[str], ending: str, mark: str
) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=ending, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    for draft in drafts:
        writer.writerow([getattr(draft, column) for column in columns])
        out.write(ending)
    text = mark + out.getvalue()
    assert parse_playlist_csv(text) == tuple(drafts)


def test_optional_columns_and_quotes() -> None:
    text = 'video_count, search_term\n3,"say ""hi"", cat -dog"\n\n , \n1, Movie  Trailer \n'
    assert parse_playlist_csv(text) == (
        BlockDraft('say "hi", cat -dog', 3),
        BlockDraft("Movie Trailer", 1),
    )


def test_empty_optional_cells_mean_the_default() -> None:
    text = "search_term,video_count,fetch_mode,format\ncat,1,,\n"
    assert parse_playlist_csv(text) == (BlockDraft("cat", 1, FetchMode.RANDOM, Format.MIXED),)


@pytest.mark.parametrize(
    ("text", "field", "problem"),
    [
        ("", "line 1", "lacks the column search_term"),
        ("search_term\ncat\n", "line 1", "lacks the column video_count"),
        ("search_term,video_count,colour\n", "line 1", "unknown column 'colour'"),
        ("search_term,video_count,search_term\n", "line 1", "search_term twice"),
        ("search_term,video_count\n", "csv", "no blocks"),
        ("search_term,video_count\ncat,1\n\ndog,x\n", "line 4, video_count", "is 'x'"),
        ('search_term,video_count\n"a\nb",1\n-x,1\n', "line 4, search_term", "only exclusions"),
        ("search_term,video_count\ncat,1,2\n", "line 2", "has 3 fields, the header has 2"),
        ('search_term,video_count\n"cat,1\n', "line 2", "is not valid CSV"),
        ("search_term,video_count,format\ncat,1,round\n", "line 2, format", "is 'round'"),
        ("search_term,video_count\n" + "a,1\n" * 501, "line 502", "is block 501; write fewer"),
        ("search_term,video_count\na\x00b,1\n", "line 2, search_term", "NUL"),
    ],
)
def test_errors_name_the_line(text: str, field: str, problem: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_playlist_csv(text)
    assert caught.value.field == field
    assert problem in caught.value.problem


_HEADERS = st.one_of(
    st.just(["search_term", "video_count", "fetch_mode", "format"]),
    st.lists(
        st.sampled_from(
            ["search_term", "video_count", "fetch_mode", "format", " format ", "x", ""]
        ),
        max_size=6,
    ),
)
_CELLS = st.one_of(
    st.text(max_size=30),
    st.text("0123456789+-._ eE", max_size=12),
    st.sampled_from(
        [
            "cat", "movie trailer -teaser", "-x", "", "1", "500", "501", "0", "-1", "1.0", "١",
            "9" * 5_000, "newest", "random", "NEWEST", "tall", "a\x00b", "\ud800", '"', 'a"b',
            "a\nb", "x" * 5_000, "%_\\", "\ufeff", "'; DROP TABLE playlists; --", "=1+1",
        ]
    ),
)  # fmt: skip


@st.composite
def _files(draw: st.DrawFn) -> str:
    """CSV files, more or less: from valid ones to any text."""
    if draw(st.integers(0, 5)) == 0:
        return draw(st.text(max_size=200))
    separator = draw(st.sampled_from([",", ",", ",", ";", "\t"]))
    ending = draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""]))
    quote = draw(st.sampled_from(["", '"', "'"]))
    header = draw(_HEADERS)
    sizes = st.just(len(header)) if draw(st.booleans()) else st.integers(0, 6)
    rows = draw(
        st.lists(
            sizes.flatmap(lambda size: st.lists(_CELLS, min_size=size, max_size=size)), max_size=6
        )
    )
    lines = [header, *rows]
    return draw(st.sampled_from(["", "\ufeff"])) + ending.join(
        separator.join(f"{quote}{cell}{quote}" for cell in line) for line in lines
    )


@given(_files())
@example("search_term,video_count\ncat," + "9" * 5_000)
@example("search_term,video_count\n\ud800,1")
@example('search_term,video_count\n"' + "x" * 200_000 + '",1')
def test_any_file_is_read_or_refused_by_its_line(text: str) -> None:
    refused: InvalidInputError | None = None
    drafts: tuple[BlockDraft, ...] = ()
    try:
        drafts = parse_playlist_csv(text)
    except InvalidInputError as error:
        refused = error
    assert (refused is None) == bool(drafts)
    if refused is not None:
        assert re.fullmatch(r"csv|line \d+(, \w+)?", refused.field)
        # What is refused at once may be many; none repeats a long value.
        assert all(len(str(each)) < 300 for each in refused.errors)
    for draft in drafts:
        draft.search_term.encode()
        assert draft == draft_block(
            0, draft.search_term, draft.video_count, draft.fetch_mode, draft.format
        )


def test_every_refused_line_is_named_at_once() -> None:
    text = "search_term,video_count,format\n-cat,x,wide\ncat,2,mixed\ncat,1\ncat,0,round\n"
    with pytest.raises(InvalidInputError) as refused:
        parse_playlist_csv(text)
    assert [error.field for error in refused.value.errors] == [
        "line 2, search_term",
        "line 2, video_count",
        "line 4",
        "line 5, video_count",
        "line 5, format",
    ]
    assert str(refused.value).splitlines()[1] == (
        "line 2, video_count: is 'x'; write a whole number"
    )
