"""The sample CSV: one file for the docs and the page, which can be imported."""

from pathlib import Path

import sorafeed_assets
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv

_PACKAGE = Path(sorafeed_assets.__file__).parent
_NAME = "sample-playlist.csv"


def test_the_sample_can_be_imported() -> None:
    text = (_PACKAGE / "serving/pages/static" / _NAME).read_text()
    assert text == (_PACKAGE.parent / "docs" / _NAME).read_text()
    assert [draft.video_count for draft in parse_playlist_csv(text)] == [3, 4, 2]
