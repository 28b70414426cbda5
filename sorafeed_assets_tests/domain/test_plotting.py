"""Plots as SVG are well-formed, whatever their values and names."""

from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.plotting import HEIGHT, WIDTH, as_svg, plot

_VALUES = st.lists(st.none() | st.floats(0, 1e9) | st.integers(0, 10**9), max_size=30)
_NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=20
)
_SVG = "{http://www.w3.org/2000/svg}"


@given(st.dictionaries(_NAMES, _VALUES, max_size=5), _NAMES)
def test_an_image_is_well_formed_and_has_every_line(
    lines: dict[str, list[float | None]], title: str
) -> None:
    drawn = plot(title, "posts", lines, "2026-11-01", "2026-11-30")
    image = ElementTree.fromstring(as_svg(drawn))  # noqa: S314  # our own text
    polylines = image.findall(f".//{_SVG}polyline")
    assert len(polylines) == sum(len(line.pieces) for line in drawn.lines)
    for polyline in polylines:
        for point in polyline.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH + 2
            assert 0 <= y <= HEIGHT
    texts = [each.text for each in image.findall(f".//{_SVG}text")]
    assert [f"{line.name}: {line.last}" for line in drawn.lines] == texts[4:]
    # Every value is in one piece, and a gap divides two pieces.
    for values, line in zip(lines.values(), drawn.lines, strict=True):
        known = [value is not None for value in values]
        runs = sum(now and not before for before, now in pairwise([False, *known]))
        assert len(line.pieces) == runs


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (12_345, "12,345"), (100.0, "100"), (1234.5, "1,234"), (9.96, "10"), (0.345, "0.34"),
     (0.0, "0"), (1e-7, "0")],
)  # fmt: skip
def test_the_last_value_is_readable(value: float, shown: str) -> None:
    (line,) = plot("Plays", "plays", {"plays": [3, value]}, "1", "2").lines
    assert line.last == shown


@given(st.lists(st.none() | st.integers(0, 10**6), max_size=12))
def test_a_moment_that_is_not_over_has_a_piece_of_its_own(values: list[float | None]) -> None:
    (whole,) = plot("Plays", "plays", {"plays": values}, "1", "2").lines
    drawn = plot("Plays", "plays", {"plays": values}, "1", "2", is_open=True)
    (line,) = drawn.lines
    assert drawn.last == "2, so far"
    assert line.last == whole.last
    if line.so_far is None:
        assert None in values[-2:] or len(values) < 2
        assert line.pieces == whole.pieces
        return
    # The two together are the line.
    before, last = line.so_far.split()
    assert before.partition(",")[0] != last.partition(",")[0]
    assert whole.pieces[-1].split()[-2:] == [before, last]
    assert as_svg(drawn).count("stroke-dasharray") == 1
    points = [point for piece in line.pieces for point in piece.split()]
    assert last not in points
    assert before in points
