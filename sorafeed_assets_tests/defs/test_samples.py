"""What events of assets show besides a preview: plots, as images that the UI draws."""

import base64
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.samples import samples_of
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.wall import add_display

_IMAGE = re.compile(r"!\[([^\]]+)\]\(data:image/svg\+xml;base64,([^)]+)\)")


@pytest.fixture
def connections(settings: Settings, engine: Engine) -> Iterator[Connections]:
    add_display(engine, "HALL01")
    found = Connections(settings)
    yield found
    found.close()


@pytest.mark.parametrize(
    ("asset", "titles"),
    [
        ("video_counts_by_search", ["New posts of the largest searches by day"]),
        (
            "admin_snapshot",
            ["From a change to the screen", "Plays by day", "Share of plays by day"],
        ),
    ],
)
def test_plots_are_metadata_of_events(
    connections: Connections, asset: str, titles: list[str]
) -> None:
    found = samples_of(connections, asset, [""])[""]["plots"].value
    images = _IMAGE.findall(found)
    assert [title for title, _ in images] == titles
    for title, image in images:
        drawn = ElementTree.fromstring(base64.b64decode(image))  # noqa: S314  # our own text
        assert drawn.findtext("{http://www.w3.org/2000/svg}text") == title
