"""The commands of deploy/compose.yaml, from an installed wheel, do the main job.

No Docker is needed: what stands in for the image is an environment with nothing but the wheel and
its dependencies, in a folder that may not be written to, for an ordinary user whose variables are
only those of the image and the service. PostgreSQL and Redis are given by address, in files.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import EmbeddedRedis, free_port, postgres_program
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.deploy.databases import Databases, deployed_databases
from sorafeed_assets_tests.deploy.files import DEPLOY, SERVICES, read_yaml
from sorafeed_assets_tests.deploy.installation import Container, Installation, Running, install
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.wall import add_posts

_COMPOSE = read_yaml("compose.yaml")["services"]
_PG_DUMP = postgres_program("pg_dump")
_numbers = count()


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("installed"))


class Host:
    """Runs the services of compose.yaml, each in a container's place.

    Args:
        installation: the image.
        secrets: the secrets of compose.yaml, by their names there.
    """

    def __init__(self, installation: Installation, secrets: Mapping[str, str]) -> None:
        self._installation = installation
        self.folder = installation.folder / f"host-{next(_numbers)}"
        self.ports = {name: free_port() for name in ("3000", "3080", "4000")}
        workspace = self.folder / "workspace.yaml"
        for service in SERVICES:
            self.secrets(service).mkdir(parents=True)
            for given in _COMPOSE[service]["secrets"]:
                name = given if isinstance(given, str) else given["source"]
                target = given if isinstance(given, str) else given["target"]
                (self.secrets(service) / target).write_text(f"{secrets[name]}\n")
        workspace.write_text(
            (DEPLOY / "workspace.yaml").read_text().replace("4000", str(self.ports["4000"]))
        )
        self._addresses = {
            "/etc/sorafeed/workspace.yaml": str(workspace),
            # The image of backups has pg_dump, by the extra `embedded`.
            "/opt/sorafeed/bin:$PATH": f"{installation.programs}:{_PG_DUMP.parent}:/usr/bin:/bin",
            "/opt/compiled": str(self.folder / "compiled"),
            "0.0.0.0": "127.0.0.1",  # noqa: S104  # in compose.yaml, for the container's network
            **{port: str(here) for port, here in self.ports.items()},
        }

    def secrets(self, service: str) -> Path:
        """The folder of a service's secrets."""
        return self.folder / "secrets" / service

    def container(self, service: str) -> Container:
        """The place of one service."""
        folder = self.folder / service
        made = Container(
            self._installation,
            folder,
            {**_COMPOSE[service]["environment"], "SORAFEED_CODE_SERVER": "127.0.0.1"},
            {
                **self._addresses,
                "/run/secrets": str(self.secrets(service)),
                "/var/lib/sorafeed": str(folder / "data"),
                "/tmp": str(folder / "tmp"),  # noqa: S108  # in the image
                "/backups": str(folder / "backups"),
            },
        )
        made.prepare()
        return made

    def compile(self) -> None:
        """What the image does when it is built."""
        builder = self.container("migrate")
        module = "sorafeed_assets.domain.compile_all"
        made = builder.run(["python", "-m", module])
        assert made.returncode == 0, made.stderr
        shutil.copytree(builder.folder / "tmp" / "compiled", self.folder / "compiled")

    def run(self, service: str, command: Sequence[str]) -> str:
        """The output of a command that must succeed."""
        done = self.container(service).run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def start(self, stack: ExitStack, service: str) -> Running:
        """Start a service until the stack is closed."""
        container = self.container(service)
        return stack.enter_context(container.running(service, _COMPOSE[service]["command"]))

    def url(self, port: str, path: str) -> str:
        """An address of a service, by its port in the container."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def answers(self, port: str, path: str) -> bool:
        """Whether a service is healthy."""
        try:
            return httpx.get(self.url(port, path), timeout=10).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture
def databases(tmp_path: Path) -> Iterator[Databases]:
    """A server with the logins of compose.yaml, and empty databases."""
    with deployed_databases(tmp_path / "postgres") as made:
        yield made


@pytest.fixture
def host(installation: Installation, databases: Databases, redis_server: EmbeddedRedis) -> Host:
    """A host whose services have their own logins."""
    return Host(installation, {**databases.secrets, "SORAFEED_REDIS_URL": redis_server.url})


@pytest.fixture
def posts(databases: Databases) -> Iterator[Engine]:
    """The database, for a scanner."""
    engine = create_database_engine(databases.superuser, Settings())
    yield engine
    engine.dispose()


_CREATE = """
mutation {
  createDisplay(name: "The hall", id: "HALL01") { display { id } }
  createPlaylist(displayId: "HALL01", name: "show", blocks: [
    {search: "cat video", videoCount: 4, fetchMode: NEWEST, format: WIDE}
    {search: "dog", videoCount: 3}
  ]) { playlist { id } }
}
"""
_LAUNCH = """
mutation {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "sorafeed_assets",
      repositoryName: "__repository__",
      jobName: "check_displays"
    },
    mode: "default"
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
_RUN = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"


def test_the_services_of_compose_do_the_main_job(host: Host, posts: Engine) -> None:
    host.compile()
    compiled = _files(host.folder / "compiled")
    assert len(compiled) >= 4
    assert "migrated from empty" in host.run("migrate", _COMPOSE["migrate"]["command"])
    with ExitStack() as stack:
        code = host.start(stack, "code-server")
        api, react = host.start(stack, "api"), host.start(stack, "react")
        api.wait_for("the API", lambda: host.answers("3080", "/readyz"))
        health = host.container("code-server")
        code.wait_for(
            "the code server",
            lambda: health.run(_COMPOSE["code-server"]["healthcheck"]["test"][1:]).returncode == 0,
        )
        web, daemon = host.start(stack, "webserver"), host.start(stack, "daemon")

        # The main job: posts come, a playlist is created, and a player gets what plays next.
        add_posts(posts, "cat video", 12)
        add_posts(posts, "dog", 9)
        create = ["sorafeed", "tokens", "create", "test", "--role", "admin"]
        token = host.run("react", create).strip()
        with httpx.Client(headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
            created = client.post(host.url("3080", "/graphql"), json={"query": _CREATE}).json()
            assert "errors" not in created, created
            react.wait_for("the queue", lambda: len(_next(host, client)) == 5)
            assert {post["text"].split()[1] for post in _next(host, client)} <= {"cat", "dog"}
            answer = client.get(host.url("3080", "/metrics"))
            assert answer.status_code == 200

        # An old system beside it is followed.
        old = OldFile(host.folder / "old.sqlite")
        old.add_display("OLD001")
        (host.secrets("legacy") / "SORAFEED_LEGACY_QUEUES").write_text(str(old.path))
        legacy = host.start(stack, "legacy")
        legacy.wait_for(
            "its display", lambda: run(posts, "SELECT FROM displays WHERE id = 'OLD001'")
        )

        # Dagster shows what is stored, and runs it.
        status = json.loads(host.run("react", ["sorafeed", "status", "--json"]))
        assert status["lineage"]["differ"] == 0
        web.wait_for("the UI", lambda: host.answers("3000", "/server_info"))
        launched = _ask_dagster(host, _LAUNCH)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run_id = launched["run"]["runId"]
        daemon.wait_for("the run", lambda: _status(host, run_id) in {"SUCCESS", "FAILURE"})
        assert _status(host, run_id) == "SUCCESS"
        host.run("daemon", _COMPOSE["daemon"]["healthcheck"]["test"][1:])
        # Nothing was compiled that the image does not bring.
        assert _files(host.folder / "react" / "tmp" / "compiled") == compiled

        # The backup of every night, while all of them run.
        made = host.run("backup", _COMPOSE["backup"]["command"])
        (backup,) = (host.folder / "backup" / "backups").iterdir()
        assert made.startswith(f"{backup}: ")
        status = json.loads(host.run("react", ["sorafeed", "status", "--json"]))
        assert status["backup"]["folder"] == str(backup)
    assert {running.process.returncode for running in (api, react, legacy)} == {0}


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _next(host: Host, client: httpx.Client) -> list[Any]:
    answer = client.get(host.url("3080", "/api/displays/HALL01/next?count=5"))
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["videos"]
    return found


def _ask_dagster(host: Host, query: str, **variables: str) -> Any:
    answer = httpx.post(
        host.url("3000", "/graphql"), json={"query": query, "variables": variables}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


def _status(host: Host, run_id: str) -> str:
    return str(_ask_dagster(host, _RUN, id=run_id)["runOrError"]["status"])


def test_the_runbook_is_installed(installation: Installation) -> None:
    # The page `/admin/runbook` reads it.
    assert "## SorafeedApiDown" in (installation.package / "runbook.md").read_text()


def test_the_installation_cannot_be_written_to(host: Host, installation: Installation) -> None:
    touch = ["touch", str(installation.package / "written")]
    assert host.container("api").run(touch).returncode != 0
    assert not (installation.package / "written").exists()


def test_what_is_missing_is_said(host: Host) -> None:
    for service in ("daemon", "webserver"):
        (host.secrets(service) / "SORAFEED_REDIS_URL").unlink()
        refused = host.container(service).run(_COMPOSE[service]["command"])
        assert refused.returncode == 1
        assert "set SORAFEED_DATABASE_URL" in " ".join(refused.stderr.split())
    shutil.rmtree(host.secrets("api"))
    refused = host.container("api").run(_COMPOSE["api"]["command"])
    assert "SORAFEED_SECRETS_DIR" in refused.stderr


def test_the_services_are_those_of_the_image() -> None:
    built = {name for name, service in _COMPOSE.items() if "build" in service}
    assert built == set(SERVICES)
