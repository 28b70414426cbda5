"""The alerts of Prometheus on the overview, which appear by themselves; the runbook."""

import re
from pathlib import Path
from typing import Final

import yaml
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.prometheus import alerting, needs_prometheus
from sorafeed_assets_tests.serving.browsing import Site, needs_browser
from sorafeed_assets_tests.serving.client import Api

_RULES: Final = Path(__file__).parents[3] / "deploy" / "prometheus" / "sorafeed.rules.yml"


def _alert(name: str) -> dict[str, object]:
    """A rule of deploy/prometheus that fires at once."""
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    (found,) = (each for group in groups for each in group["rules"] if each.get("alert") == name)
    return {**found, "expr": "vector(1)", "for": "0s"}


@needs_browser
@needs_prometheus
def test_alerts_appear_without_a_reload(
    page: Page, settings: Settings, engine: Engine, tmp_path: Path
) -> None:
    port = free_port()
    asking = settings.model_copy(update={"prometheus_url": f"http://127.0.0.1:{port}"})
    with serving(asking, Listening(free_port())) as url:
        site = Site(url, engine, Api(url, None))
        site.enter(page)
        alerts = page.locator("[data-alerts]")
        # The page does not wait for a Prometheus that is away.
        away = "The alerts are not known: Prometheus at"
        expect(alerts).to_contain_text(away)
        with alerting(tmp_path, [_alert("SorafeedApiDown")], port):
            expect(alerts.locator("[data-alert=SorafeedApiDown]")).to_be_visible()
            expect(alerts).not_to_contain_text(away)
            page.get_by_role("link", name="What to do about SorafeedApiDown").click()
            page.wait_for_url("**/admin/runbook#sorafeedapidown")
            expect(page.locator("h2:target")).to_have_text("SorafeedApiDown")


def test_the_runbook_has_each_alert_and_no_link_that_leads_nowhere(admin: Api, reader: Api) -> None:
    page = reader.http.get("/admin/runbook")
    assert page.status_code == 200
    anchors = set(re.findall(r'<h2 id="([^"]+)"', page.text))
    for alert in re.findall(r"alert: (\w+)", _RULES.read_text()):
        assert alert.lower() in anchors, alert
    links = re.findall(r'href="([^"]+)"', page.text.partition("<article")[2])
    assert links
    for link in links:
        assert link.startswith("#"), link
        assert link[1:] in anchors, link
    assert "data-alert=" not in admin.http.get("/admin").text
