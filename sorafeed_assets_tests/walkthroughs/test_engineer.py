"""docs/engineers-guide.md: questions to the Dagster UI and the notebook."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine

from sorafeed_assets.defs.common import run_over_displays
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import follow_displays
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.automation import ASSETS
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.supervision import Supervisor
from sorafeed_assets.launch.up import Stop, Up
from sorafeed_assets.services.timelines.frames import plan_frame
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.defs.conftest import bring_up_to_date
from sorafeed_assets_tests.notebooks import NOTEBOOK, executed
from sorafeed_assets_tests.serving.browsing import STEP, needs_browser
from sorafeed_assets_tests.walkthroughs.camera import Camera
from sorafeed_assets_tests.walkthroughs.titles import add_titled_posts
from sorafeed_assets_tests.wall import add_display, add_playlist

pytestmark = [needs_browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

_PATIENCE: Final = 120_000
_DISPLAY: Final = "LOBBY1"
_GONE: Final = "GONE01"
# A cell and its output, as Jupyter shows them.
_LOOK: Final = """<style>
  main {{ font: 13px sans-serif; padding: 12px; width: fit-content; }}
  pre {{ background: #f5f5f5; border: 1px solid #ddd; padding: 8px; }}
  table {{ border-collapse: collapse; }} table, th, td {{ border: 0; }}
  th, td {{ padding: 4px 8px; text-align: right; }} tr:nth-child(even) {{ background: #f5f5f5; }}
</style><main><pre>{code}</pre>{table}</main>"""


# A picture has nothing of the machine that took it.
_WITHOUT_FOLDERS: Final = r"""() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = texts.nextNode()); ) {
    text.data = text.data.replace(/\/\S*\/(?=site-packages\/)/g, "");
  }
}"""


@dataclass(frozen=True, slots=True)
class Graph:
    """A served Dagster UI, with what it shows."""

    url: str
    engine: Engine
    settings: Settings


@pytest.fixture
def graph(addressed: Settings, engine: Engine) -> Iterator[Graph]:
    """A display that plays, a run that failed, and all programs of Dagster."""
    # In a thread, because the browser's driver occupies the event loop of this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_prepare, addressed, engine).result()
    supervisor = Supervisor(addressed.data_dir, "walk", lambda _line: None)
    with Up(addressed, supervisor, Stop()) as programs:
        port = free_port()
        programs.start_interface(port)
        programs.start_reacting()
        programs.wait_until_ready()
        yield Graph(f"http://127.0.0.1:{port}", engine, addressed)


def _prepare(settings: Settings, engine: Engine) -> None:
    add_titled_posts(engine, days=10)
    add_display(engine, _DISPLAY)
    add_playlist(engine, _DISPLAY, [("movie trailer", 2), ("cooking show", 3)])
    connections = Connections(settings)
    bring_up_to_date(connections)
    with open_instance(settings) as instance:
        follow_displays(connections, instance)
        # A partition whose display is not there any more.
        instance.add_dynamic_partitions("displays", [_GONE])
        wanted = run_over_displays(
            "rebuild_displays", ASSETS, [_GONE], instance.get_dynamic_partitions("displays")
        )
        job = build_definitions(settings, connections).resolve_job_def("rebuild_displays")
        failed = job.execute_in_process(
            instance=instance, tags=dict(wanted.tags), raise_on_error=False
        )
        assert not failed.success
    connections.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of another program, whose script errors are not ours."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(_PATIENCE)
    expect.set_options(timeout=_PATIENCE)
    yield context.new_page()
    expect.set_options(timeout=STEP)
    context.close()


def test_an_engineer_finds_out_why(
    page: Page, graph: Graph, camera: Camera, tmp_path: Path
) -> None:
    _see_the_graph(page, graph, camera)
    first = _why_a_display_plays_a_video(page, graph, camera)
    _launch_a_backfill_of_a_week(page, graph, camera)
    # Meanwhile the daemon finds the backfill.
    _find_the_cause_of_a_failed_run(page, graph, camera)
    _load_the_plan(page, graph, camera, tmp_path, first)
    _see_the_backfill_succeed(page, graph, camera)


def _see_the_graph(page: Page, graph: Graph, camera: Camera) -> None:
    page.set_viewport_size({"width": 1280, "height": 1150})
    page.goto(f"{graph.url}/asset-groups")
    page.get_by_text("Hide navigation").click()
    page.get_by_placeholder("Jump to").locator("xpath=following::button[1]").click()
    expect(page.get_by_text("rollouts").first).to_be_visible()
    # Expands all groups.
    page.keyboard.press("Alt+KeyE")
    for asset in ("sora_posts", "display_timelines", "timeline_cache"):
        expect(page.get_by_text(asset).first).to_be_visible()
    camera.take(page, "graph")
    page.set_viewport_size({"width": 1280, "height": 800})


def _why_a_display_plays_a_video(page: Page, graph: Graph, camera: Camera) -> str:
    page.goto(f"{graph.url}/assets/display_timelines?view=partitions&partition={_DISPLAY}")
    row = page.get_by_role("table").locator("tbody tr").filter(has_text="queued").last
    expect(row).to_contain_text("cooking show")
    first = str(plan_frame(graph.engine, [_DISPLAY]).loc[0, "text"])
    assert "movie trailer" in first
    row = page.locator("tr:not(:has(tr))", has_text=first)
    expect(row).to_contain_text("new")
    page.locator("tr:not(:has(tr))", has_text="queued").last.scroll_into_view_if_needed()
    camera.take(page, "walk-why")
    return first


def _launch_a_backfill_of_a_week(page: Page, graph: Graph, camera: Camera) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    page.goto(f"{graph.url}/assets/video_counts_daily")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.locator(".dagster-dialog")
    days = dialog.locator("input[placeholder]")
    days.fill(f"[{yesterday - timedelta(days=6)}...{yesterday}]")
    days.press("Enter")
    expect(dialog).to_contain_text("7 partitions")
    camera.take(page, "walk-backfill")
    dialog.get_by_role("button", name="Launch backfill").click()
    expect(dialog).to_have_count(0)


def _find_the_cause_of_a_failed_run(page: Page, graph: Graph, camera: Camera) -> None:
    page.goto(f"{graph.url}/runs?q[0]=status:FAILURE")
    expect(page.get_by_text(f"sorafeed/displays: {_GONE}")).to_be_visible()
    camera.take(page, "walk-failed")
    page.locator("a[href^='/runs/']", has_text="View").click()
    cause = page.get_by_text(f"displays: {_GONE}: no such display; check the code")
    expect(cause.last).to_be_visible()
    page.evaluate(_WITHOUT_FOLDERS)
    camera.take(page, "walk-cause")


def _see_the_backfill_succeed(page: Page, graph: Graph, camera: Camera) -> None:
    page.goto(f"{graph.url}/runs?view=backfills")
    page.locator("a[href^='/runs/b/']").first.click()
    expect(page.get_by_text("Succeeded", exact=True).first).to_be_visible()
    expect(page.get_by_text("100% completed")).to_be_visible()
    camera.take(page, "walk-backfilled")


def _load_the_plan(page: Page, graph: Graph, camera: Camera, folder: Path, first: str) -> None:
    """The cells of docs/notebook.ipynb that load a plan, in a kernel of their own."""
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
    notebook["cells"] = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and any(word in "".join(cell["source"]) for word in ("import Plan", "plan[["))
    ]
    (table,) = (
        "".join(output["data"]["text/html"])
        for cell in executed(notebook, graph.settings, folder)
        for output in cell["outputs"]
    )
    page.set_content(_LOOK.format(code=_source(notebook), table=table))
    expect(page.locator("tbody tr").first).to_contain_text(first)
    expect(page.locator("tbody tr").first).to_contain_text("new")
    camera.take(page, "walk-notebook", of="main")


def _source(notebook: dict[str, Any]) -> str:
    return escape("".join(notebook["cells"][-1]["source"]))
