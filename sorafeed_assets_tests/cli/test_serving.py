"""`sorafeed up` while it serves: joined by other commands, killed, restarted, stopped, lost."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import httpx
import psutil
import pytest

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.fork_server import NAME
from sorafeed_assets.launch.supervision import ProcessState, processes
from sorafeed_assets_tests.cli.losing import Screen, kept_in
from sorafeed_assets_tests.cli.running import (
    answer,
    command_line,
    end_all,
    environment,
    exported,
    figures,
    is_alive,
    processes_of,
    refusal,
    start,
    wait_until,
)

CSV = 'search_term,video_count,fetch_mode,format\ncommercial,3,newest,wide\n"movie trailer",2,,\n'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder; ends processes that a failing test leaves running."""
    folder = tmp_path / "data"
    yield folder
    end_all(processes_of(folder))


def test_joined_killed_started_again_stopped_and_lost(folder: Path, tmp_path: Path) -> None:
    port, api_port, said = free_port(), free_port(), tmp_path / "said"
    ports = ("--port", str(port), "--api-port", str(api_port))
    arguments = ("up", "--posts", "400", "--displays", "2", "--api-processes", "2", *ports)
    address = f"http://127.0.0.1:{port}"

    up = start(said, *arguments, "--data-dir", str(folder))
    wait_until(lambda: address in said.read_text() or up.poll() is not None, "the UI's address")
    assert up.poll() is None, said.read_text()
    # The report of what was prepared shows the API, which was started before, as running.
    assert "ended" not in said.read_text()
    with urlopen(f"{address}/server_info") as page:  # noqa: S310  # our own address
        assert "dagster_webserver_version" in page.read().decode()

    # Messages to a webhook are sent from there, with links.
    code_servers = [p for p in processes_of(folder) if "code-server" in command_line(p)]
    assert code_servers
    assert {p.environ()["SORAFEED_DAGSTER_UI_URL"] for p in code_servers} == {address}

    link = _admin_link(said, api_port)
    _opens_the_admin_page(link)
    _others_are_refused(folder, tmp_path, port)
    _others_join(folder, tmp_path)
    _each_comes_back(folder, address, api_port)
    before = figures(answer("status", "--json", folder=folder))

    # After a kill, servers and Dagster are left; the next `up` ends them and continues.
    up.kill()
    up.wait()
    left = processes_of(folder)
    assert any("dagster" in command_line(process) for process in left)
    assert not any("legacy follow" in command_line(process) for process in left)
    again = start(said, "up", *ports, "--data-dir", str(folder))
    wait_until(lambda: address in said.read_text() or again.poll() is not None, "a second start")
    assert again.poll() is None, said.read_text()
    wait_until(lambda: not any(map(is_alive, left)), "the end of what was left")
    # What was not up to date follows the link, and ends runs that the kill interrupted.
    log = folder / "logs" / "prepare.log"
    wait_until(lambda: log.exists() and "needs attention" in log.read_text().lower(), "its report")
    # The link that was printed before is no longer valid; the new one is.
    assert httpx.get(link).status_code == 401
    _opens_the_admin_page(_admin_link(said, api_port))
    after = figures(answer("status", "--json", folder=folder))
    assert {key: after[key] for key in ("posts", "terms", "displays", "timelines")} == {
        key: before[key] for key in ("posts", "terms", "displays", "timelines")
    }
    assert after["checks"]["failed"] == 0
    assert all(run["status"] != "STARTED" for run in after["runs"])

    screen = Screen(folder, api_port, _display(folder))
    for _ in range(3):
        screen.play()
    backups = tmp_path / "backups"
    made = answer("backup", "--to", backups, folder=folder)
    before_loss, queue = kept_in(folder), screen.queue()

    # On SIGTERM it ends everything it started.
    again.send_signal(signal.SIGTERM)
    assert again.wait(240) == 0
    assert processes_of(folder) == []
    assert free_port(port) == port
    assert not list((folder / "children").iterdir())
    assert "start `sorafeed up` first" in refusal("env", folder=folder)

    # The data folder is lost; the backup brings everything back, and the player continues.
    shutil.rmtree(folder)
    (backup,) = backups.iterdir()
    assert made.startswith(f"{backup}: ")
    assert "restored what was stored at" in answer("restore", backup, folder=folder)
    restored = start(said, "up", *ports, "--data-dir", str(folder))
    wait_until(lambda: address in said.read_text() or restored.poll() is not None, "a third start")
    assert restored.poll() is None, said.read_text()
    assert len(before_loss["plays"]) == 3
    assert kept_in(folder) == before_loss
    assert screen.queue() == queue
    screen.play()
    assert len(kept_in(folder)["plays"]) == 4
    screen.close()
    found = figures(answer("status", "--json", folder=folder))
    assert found["backup"]["folder"] == str(backup)
    assert found["posts"] == before["posts"]
    # Dagster knows its runs again, and what is recorded is what is stored.
    assert len(found["runs"]) > 0
    assert found["lineage"]["differ"] == 0
    restored.send_signal(signal.SIGTERM)
    assert restored.wait(240) == 0


def test_the_api_alone_is_joined_by_other_commands(folder: Path, tmp_path: Path) -> None:
    port, said = free_port(), tmp_path / "said"
    serving = ("serve", "--api-port", str(port), "--api-processes", "2")
    serve = start(said, *serving, "--data-dir", str(folder))
    wait_until(lambda: "/admin" in said.read_text() or serve.poll() is not None, "the API")
    assert serve.poll() is None, said.read_text()
    secret = answer("tokens", "create", "a script", folder=folder).strip()
    answer("displays", "add", "The hall", "--code", "HALL01", folder=folder)
    asked = Request(
        f"http://127.0.0.1:{port}/graphql?query=%7Bdisplay(id:%22HALL01%22)%7Bname%7D%7D",
        headers={"authorization": f"Bearer {secret}"},
    )

    def answers() -> bool:
        with urlopen(asked) as response:  # noqa: S310  # our own address
            return bool(json.loads(response.read()) == {"data": {"display": {"name": "The hall"}}})

    assert answers()
    before = {state.pid for state in processes(folder)}
    serve.send_signal(signal.SIGHUP)
    wait_until(
        lambda: answers() and "all processes of the API are new" in said.read_text(), "new ones"
    )
    assert answers()
    assert before.isdisjoint({state.pid for state in processes(folder)})
    # The same by command, which ends once they are new, also when one has to be started again.
    before = {state.pid for state in processes(folder)}
    killed = next(state.pid for state in processes(folder) if state.name.startswith("api"))
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    assert answer("serve", "--reload", folder=folder) == "2 processes of the API are new\n"
    assert before.isdisjoint({state.pid for state in processes(folder)})
    assert answers()
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(240) == 0
    assert processes_of(folder) == []
    assert "no `sorafeed serve --api-processes` runs on" in refusal(
        "serve", "--reload", folder=folder
    )


def _display(folder: Path) -> str:
    """A display of the demo."""
    listed = answer("displays", "list", "--json", folder=folder)
    return str(json.loads(listed)[0]["code"])


def _admin_link(said: Path, api_port: int) -> str:
    """The link to the admin page that `up` printed."""
    # Its token is for no other user to read.
    assert said.stat().st_mode & 0o077 == 0
    (link,) = re.findall(r"^Admin page: +(\S+)$", said.read_text(), re.MULTILINE)
    assert link.startswith(f"http://127.0.0.1:{api_port}/admin?token=")
    return str(link)


def _opens_the_admin_page(link: str) -> None:
    """The token moves from the address to a cookie, which then suffices."""
    with httpx.Client() as browser:
        entered = browser.get(link)
        assert (entered.status_code, entered.headers["location"]) == (303, "/admin")
        assert link.partition("token=")[2] in browser.cookies.values()
        page = browser.get(link.partition("?")[0])
        assert page.status_code == 200
        # An admin's token may change displays.
        assert "Add a display" in page.text


def _each_comes_back(folder: Path, ui: str, api_port: int) -> None:
    """Kill every process of `up`, servers too: each is started again, and all is well then."""
    names = [state.name for state in processes(folder)]
    assert {"PostgreSQL", "Valkey", NAME, "api", "api 2", "react"} <= set(names)
    # Dagster's programs, and the runs that they start, have the processors that players leave.
    running = [each for each in processes(folder) if each.pid]
    niceness = {each.name: psutil.Process(each.pid).nice() for each in running}
    behind = {name for name, nice in niceness.items() if nice > niceness["react"]}
    assert behind == {name for name in names if name.startswith("dagster")}
    for name in names:

        def state(name: str = name) -> ProcessState:
            return next(each for each in processes(folder) if each.name == name)

        wait_until(lambda: state().pid, f"{name} to run")  # called at once
        killed = state()
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        wait_until(
            lambda: state().pid and state().restarts > killed.restarts,  # noqa: B023  # called at once
            f"{name} to be started again",
        )

    def are_well() -> bool:
        try:
            ready = httpx.get(f"http://127.0.0.1:{api_port}/readyz", timeout=5)
            return ready.is_success and httpx.get(f"{ui}/server_info", timeout=5).is_success
        except httpx.HTTPError:
            return False

    wait_until(are_well, "the API and the UI")
    shown = figures(answer("status", "--json", folder=folder))["processes"]
    assert [each["name"] for each in shown] == names
    assert all(each["restarts"] for each in shown)


def _others_are_refused(folder: Path, tmp_path: Path, port: int) -> None:
    assert "another sorafeed command is using" in refusal("up", "--once", folder=folder)
    found = refusal("up", "--port", port, folder=tmp_path / "other")
    assert found == f"port {port} is taken; choose another with --port"


def _others_join(folder: Path, tmp_path: Path) -> None:
    """Run every command against the running servers."""
    status = figures(answer("status", "--json", folder=folder))
    assert set(status) >= {"posts", "terms", "counts", "displays", "timelines", "checks"}
    assert status["posts"] == 400
    assert status["displays"] == 2
    assert set(status["counts"]) == {"fresh", "stale"}
    assert sum(status["counts"].values()) == 3 * status["terms"] > 0
    assert status["timelines"]["complete"] == sum(status["timelines"].values()) == 2
    # A check that a run is about to evaluate again is not counted meanwhile.
    assert status["checks"]["failed"] == 0
    assert status["checks"]["passed"] > 0
    assert status["lineage"]["differ"] == 0

    variables = exported(answer("env", folder=folder))
    assert variables["DAGSTER_HOME"] == str(folder / "dagster")
    assert {"SORAFEED_DATABASE_URL", "SORAFEED_DAGSTER_URL", "SORAFEED_REDIS_URL"} <= set(variables)
    assert variables["SORAFEED_DAGSTER_URL"].startswith("postgresql+psycopg2://")
    joined = subprocess.run(
        [
            sys.executable,
            "-c",
            "import dagster; print(len(dagster.DagsterInstance.get().get_runs()))",
        ],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(joined.stdout) >= len(status["runs"]) > 0

    assert "already at" in answer("migrate", folder=folder)
    # Those of the minutes since the start may have come.
    seeded = re.match("(\\d+) of 400 posts inserted", answer("seed", "--posts", 400, folder=folder))
    assert seeded is not None
    assert int(seeded[1]) < 5
    assert "commercial" in answer("counts", "show", folder=folder)

    assert answer("displays", "add", "The [hall]", "--code", "HALL01", folder=folder) == "HALL01\n"
    listed = answer("displays", "list", folder=folder)
    assert "The [hall]" in listed
    csv = tmp_path / "show.csv"
    csv.write_text(CSV)
    imported = answer("playlists", "import", csv, "--display", "HALL01", folder=folder)
    assert "with 2 blocks is active on HALL01: 5 videos planned, 5" in " ".join(imported.split())
    playlist = imported.split()[1]
    assert playlist in answer("playlists", "list", "--display", "HALL01", folder=folder)
    assert "HALL01 plays the playlist" in answer("playlists", "activate", playlist, folder=folder)
    shown = answer("timeline", "show", "HALL01", folder=folder)
    assert "commercial" in shown
    assert "next" in shown

    csv.write_text(CSV + "news,501,newest,wide\n")
    found = refusal("playlists", "import", csv, "--display", "HALL01", folder=folder)
    assert found == "Line 4: the number of videos is 501; it must be 1 to 500."
    csv.write_text(CSV)
    found = refusal("playlists", "import", csv, "--display", "NOBODY", folder=folder)
    assert "NOBODY does not exist" in found
    assert "NOBODY" in refusal("timeline", "show", "NOBODY", folder=folder)
    found = refusal("displays", "add", "x", "--code", "short", folder=folder)
    assert found.startswith("The code is 'short'")
    assert answer("playlists", "list", "--display", "HALL01", folder=folder).count("HALL01") == 1
