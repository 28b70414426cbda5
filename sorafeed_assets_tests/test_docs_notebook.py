"""docs/notebook.ipynb runs from its first cell to its last, on real servers."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from sorafeed_assets.defs.recording import follow_displays
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.timelines.plan import Tier
from sorafeed_assets.launch.dagster_home import prepare_home
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.serving.wording import reason_of
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.defs.conftest import bring_up_to_date
from sorafeed_assets_tests.notebooks import NOTEBOOK, executed
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts


def _outputs(cells: list[Any]) -> list[dict[str, Any]]:
    return [output for cell in cells for output in cell.get("outputs", [])]


def test_the_notebook_runs(
    engine: Engine, settings: Settings, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    add_posts(engine, "cat video", 12)
    add_posts(engine, "dog video", 2, day=1)
    for code, term, videos in (("AAAAA1", "cat video", 4), ("BBBBB2", "dog video", 4)):
        add_display(engine, code)
        add_playlist(engine, code, [(term, videos)])
    connections = Connections(settings)
    bring_up_to_date(connections)
    with dagster_database(settings, postgres) as addressed:
        prepare_home(addressed)
        with open_instance(addressed) as instance:
            follow_displays(connections, instance)
        connections.close()
        outputs = _outputs(executed(json.loads(NOTEBOOK.read_text("utf-8")), addressed, tmp_path))
    assert [each for each in outputs if each["output_type"] == "error"] == []
    assert [each for each in outputs if each.get("name") == "stderr"] == []
    assert sum("image/png" in each.get("data", {}) for each in outputs) == 3
    tables = [
        "".join(each["data"]["text/html"])
        for each in outputs
        if "text/html" in each.get("data", {})
    ]
    assert len(tables) == 2
    assert "A cat video number p_cat_video_0_0011" in tables[1]
    assert "<td>new</td>" in tables[1]
    printed = "".join("".join(each["text"]) for each in outputs if "text" in each)
    assert printed == "10 videos queued, 10 of them in Redis\n"


def test_the_docs_word_each_reason_as_the_pages_do() -> None:
    for page in (NOTEBOOK, NOTEBOOK.with_name("engineers-guide.md")):
        text = page.read_text("utf-8")
        for tier in Tier:
            assert f"| `{tier}` | {reason_of(tier)} |" in text, page


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    assert _outputs(cells) == []
    assert {cell.get("execution_count") for cell in cells} == {None}
