"""The ways to run the project say the same: compose, Kubernetes, systemd, and the code."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psycopg
import pytest
import yaml
from sqlalchemy import make_url

from sorafeed_assets.defs.dagster_internals import BatchingEventLogStorage
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.roles import provide_roles
from sorafeed_assets_tests.deploy.databases import deployed_databases
from sorafeed_assets_tests.deploy.files import (
    DEPLOY,
    ROOT,
    SERVICES,
    copied_sources,
    read_all,
    read_yaml,
)

_COMPOSE: Final[dict[str, Any]] = read_yaml("compose.yaml")
_VALUES: Final[dict[str, Any]] = read_yaml("kubernetes/dagster-values.yaml")
_ADDRESSES: Final = ["SORAFEED_DATABASE_URL", "SORAFEED_DAGSTER_URL", "SORAFEED_REDIS_URL"]
_UNITS: Final = DEPLOY / "systemd"
_ANALYZE: Final = shutil.which("systemd-analyze")


def _command(service: str) -> list[str]:
    found: list[str] = _COMPOSE["services"][service]["command"]
    return found


def _of_kind(documents: list[Any], kind: str) -> Any:
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def _pod(name: str) -> Any:
    if name == "migrate":
        return _VALUES["extraManifests"][0]["spec"]["template"]["spec"]
    if name == "backup":
        job = _of_kind(read_all("kubernetes/backup.yaml"), "CronJob")["spec"]["jobTemplate"]
        return job["spec"]["template"]["spec"]
    return _of_kind(read_all(f"kubernetes/{name}.yaml"), "Deployment")["spec"]["template"]["spec"]


@pytest.mark.parametrize("name", ["api", "react", "legacy", "migrate", "backup"])
def test_kubernetes_runs_the_commands_of_compose(name: str) -> None:
    pod = _pod(name)
    (container,) = pod["containers"]
    assert container["args"] == _command(name)
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsUser"] == 10001
    (secrets,) = (mount for mount in container["volumeMounts"] if mount["name"] == "secrets")
    assert {"name": "SORAFEED_SECRETS_DIR", "value": secrets["mountPath"]} in container["env"]


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_runs_the_commands_of_compose(name: str) -> None:
    (unit,) = _UNITS.glob(f"sorafeed-{name}*.service")
    (started,) = re.findall(r"^ExecStart=/opt/sorafeed/bin/(.*)$", unit.read_text(), re.MULTILINE)
    assert started.replace("127.0.0.1", "0.0.0.0").replace("%i", "3080").split() == _command(name)  # noqa: S104


def test_systemd_starts_every_unit() -> None:
    wanted = set(re.findall(r"sorafeed-[\w-]+@?", (_UNITS / "sorafeed.target").read_text()))
    units = {path.stem for path in _UNITS.glob("*.service")}
    # The first is required by the others, the second is enabled beside an old system.
    assert wanted == units - {"sorafeed-migrate", "sorafeed-legacy"}
    assert "WantedBy=sorafeed.target" in (_UNITS / "sorafeed-legacy.service").read_text()


def test_systemd_starts_after_a_migration_that_failed_at_first() -> None:
    # One that is required and fails ends the start of all others for good.
    for path in _UNITS.glob("*.service"):
        if "After=network-online.target sorafeed-migrate" in path.read_text():
            assert "\nWants=sorafeed-migrate.service\n" in path.read_text()
            # A restart of the migration, for a new release, restarts it too.
            assert "\nPartOf=sorafeed.target sorafeed-migrate.service\n" in path.read_text()
        assert "Requires=" not in path.read_text()
    assert "\nRestart=on-failure\n" in (_UNITS / "sorafeed-migrate.service").read_text()


def test_compose_waits_for_starts_and_ends() -> None:
    services = _COMPOSE["services"]
    # Dagster's programs and PostgreSQL's checkpoint take more than the 10 s that Docker grants.
    for name in ("postgres", "code-server", "webserver", "daemon"):
        assert services[name]["stop_grace_period"] in {"1m", "2m"}
    for name in ("code-server", "webserver", "daemon", "api"):
        assert services[name]["healthcheck"]["start_period"] == "5m"
    # By the socket it would be healthy while its image still runs databases.sql.
    assert "--host=127.0.0.1" in services["postgres"]["healthcheck"]["test"]


@pytest.mark.parametrize("name", ["react", "legacy"])
def test_kubernetes_replaces_only_by_what_keeps_running(name: str) -> None:
    deployment = _of_kind(read_all(f"kubernetes/{name}.yaml"), "Deployment")
    (container,) = _pod(name)["containers"]
    # It has no port that could be asked.
    assert "readinessProbe" not in container
    assert deployment["spec"]["minReadySeconds"] >= 30


def test_the_image_says_what_is_missing_to_start(tmp_path: Path) -> None:
    (tmp_path / "compiled").mkdir()
    (tmp_path / "tmp").touch()
    variables = {
        "SORAFEED_COMPILED": str(tmp_path / "compiled"),
        "NUMBA_CACHE_DIR": str(tmp_path / "tmp" / "compiled"),
        "PATH": "/usr/bin:/bin",
    }
    command = [str(DEPLOY / "entrypoint.sh"), "true"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "mount a tmpfs" in done.stderr


def test_systemd_follows_an_old_system_by_the_login_of_react() -> None:
    follows, reacts = (
        (_UNITS / name).read_text()
        for name in ("sorafeed-legacy.service", "sorafeed-react@.service")
    )
    assert "ExecStart=/opt/sorafeed/bin/sorafeed legacy follow\n" in follows
    given = r"^LoadCredential=.*$"
    assert re.findall(given, follows, re.MULTILINE) == re.findall(given, reacts, re.MULTILINE)


def test_an_old_system_is_followed_only_where_it_is_asked_for() -> None:
    services = _COMPOSE["services"]
    assert services["legacy"]["profiles"] == ["legacy"]
    assert not any(
        "profiles" in services[name] for name in SERVICES if name not in {"legacy", "backup"}
    )
    added = read_yaml("kubernetes/kustomization.yaml")["resources"]
    left_out = {path.name for path in (DEPLOY / "kubernetes").glob("*.yaml")} - set(added)
    assert left_out == {
        *("legacy.yaml", "runs.yaml"),  # off until they are asked for
        *("kustomization.yaml", "dagster-values.yaml"),
    }
    # Without an old system nothing has to exist: no file of settings, no folder.
    assert all(
        services[name]["env_file"] == [{"path": ".env", "required": False}] for name in SERVICES
    )
    (mount,) = services["legacy"]["volumes"]
    assert re.fullmatch(r"\$\{SORAFEED_LEGACY_FOLDER:-([\w-]+)\}:/old:ro", mount)
    assert mount.partition(":-")[2].partition("}")[0] in _COMPOSE["volumes"]


def test_the_old_system_is_reached_and_only_read() -> None:
    services = _COMPOSE["services"]
    # `backend` has no way out; runs that compare read the old system, too.
    for name in ("legacy", "code-server"):
        assert set(services[name]["networks"]) == {"backend", "frontend"}
        assert services["legacy"]["volumes"][0] in services[name]["volumes"]
    pod = _pod("legacy")
    (container,) = pod["containers"]
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "old-queues")
    (volume,) = (each for each in pod["volumes"] if each["name"] == "old-queues")
    assert mount["readOnly"]
    assert volume["persistentVolumeClaim"]["readOnly"]
    given = {each["name"]: each["value"] for each in container["env"]}
    assert given["SORAFEED_LEGACY_QUEUES"].startswith(f"{mount['mountPath']}/")


@pytest.mark.skipif(_ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    shutil.copytree(_UNITS, tmp_path / "units")
    for unit in (tmp_path / "units").glob("*.service"):
        # The program is not installed here; an instance stands for its template.
        stated = unit.read_text().replace("/opt/sorafeed/bin/sorafeed", "/bin/true")
        unit.with_name(unit.name.replace("@.", "@1.")).write_text(stated)
        done = subprocess.run(
            [str(_ANALYZE), "verify", str(unit.with_name(unit.name.replace("@.", "@1.")))],
            capture_output=True,
            text=True,
            check=False,
        )
        assert str(tmp_path) not in done.stderr, done.stderr
        assert done.returncode == 0, done.stderr


def _targets(service: str) -> dict[str, str]:
    """The names of a service's secrets in its container, and of their sources."""
    given = _COMPOSE["services"][service]["secrets"]
    return dict(
        (each, each) if isinstance(each, str) else (each["target"], each["source"])
        for each in given
    )


def test_the_addresses_are_given_as_files_everywhere() -> None:
    common = (_UNITS / "sorafeed-.service.d" / "common.conf").read_text()
    for name in SERVICES:
        targets = _targets(name)
        assert list(targets) == _ADDRESSES
        assert set(targets.values()) <= set(_COMPOSE["secrets"])
        assert not set(_COMPOSE["services"][name]["environment"]) & set(_ADDRESSES)
        (unit,) = _UNITS.glob(f"sorafeed-{name}*.service")
        loaded = re.findall(r"^LoadCredential=(\w+):", common + unit.read_text(), re.MULTILINE)
        assert sorted(loaded) == sorted(_ADDRESSES)
    fields = {f"SORAFEED_{name.upper()}" for name in Settings.model_fields}
    assert set(_ADDRESSES) <= fields


def test_only_migrations_and_backups_have_the_login_that_owns_the_schema() -> None:
    owner, api = "migrate_database_url", "api_database_url"
    sources = {name: _targets(name)["SORAFEED_DATABASE_URL"] for name in SERVICES}
    assert [name for name in SERVICES if sources[name] == owner] == ["migrate", "backup"]
    assert [name for name in SERVICES if sources[name] == api] == ["api"]
    for name in SERVICES:
        (unit,) = _UNITS.glob(f"sorafeed-{name}*.service")
        (file,) = re.findall(r"^LoadCredential=SORAFEED_DATABASE_URL:(.*)$", unit.read_text(),
                             re.MULTILINE)  # fmt: skip
        folder = {"migrate": "migrate/", "backup": "migrate/", "api": "api/"}.get(name, "")
        assert file == f"/etc/sorafeed/secrets/{folder}SORAFEED_DATABASE_URL"
    names = {"api": "-api", "react": "", "legacy": "", "migrate": "-migrate", "backup": "-migrate"}
    for name, of in names.items():
        (secret,) = (v["secret"] for v in _pod(name)["volumes"] if "secret" in v)
        assert secret["secretName"] == f"sorafeed{of}"


def test_an_api_that_runs_keeps_its_players_while_postgres_is_away() -> None:
    (container,) = _pod("api")["containers"]
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "readiness", "liveness")
    }
    # /readyz answers 503 then, so only the start may wait for it.
    assert paths == {"startup": "/readyz", "readiness": "/healthz", "liveness": "/healthz"}


def test_the_lines_of_the_docs_make_every_secret(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    lines, _, _ = page.partition("## Compose\n")[2].partition("```sh\n")[2].partition("docker")
    (tmp_path / "deploy").mkdir()
    made = subprocess.run(
        ["/bin/bash", "-eu", "-c", lines], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    folder = tmp_path / "deploy" / "secrets"
    files = {path.name: path for path in folder.iterdir()}
    assert folder.stat().st_mode & 0o077 == 0
    assert {secret["file"] for secret in _COMPOSE["secrets"].values()} == {
        f"./secrets/{name}" for name in files
    }
    for name, path in files.items():
        if name.lower().endswith("_url") and "redis" not in name.lower():
            url = make_url(path.read_text())
            assert url.username is not None
            assert url.host in _COMPOSE["services"]
            login = url.username.removeprefix("sorafeed_")
            assert url.password == (folder / f"{login}_password").read_text()


def test_the_chart_serves_the_code_that_compose_serves() -> None:
    (deployment,) = _VALUES["dagster-user-deployments"]["deployments"]
    given = deployment["dagsterApiGrpcArgs"]
    assert "=".join(given) in _command("code-server")


def test_only_loopback_ports_are_published() -> None:
    published = [
        port for service in _COMPOSE["services"].values() for port in service.get("ports", ())
    ]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_image_is_built_of_files_that_docker_sees() -> None:
    seen = (ROOT / ".dockerignore").read_text().splitlines()
    for source in copied_sources():
        assert (ROOT / source).exists()
        assert f"!{source}" in seen


def test_the_chart_says_what_dagster_yaml_says() -> None:
    ours = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    daemon, more = _VALUES["dagsterDaemon"], _VALUES["additionalInstanceConfig"]
    monitoring, retries = daemon["runMonitoring"], daemon["runRetries"]
    concurrency, retention = _VALUES["concurrency"], _VALUES["retention"]
    assert ours == {
        "telemetry": _VALUES["telemetry"],
        "nux": more["nux"],
        "freshness": more["freshness"],
        "concurrency": {
            "runs": {"max_concurrent_runs": concurrency["runs"]["maxConcurrentRuns"]},
            "pools": {
                "default_limit": concurrency["pools"]["defaultLimit"],
                "granularity": concurrency["pools"]["granularity"],
            },
        },
        "run_retries": {
            "enabled": retries["enabled"],
            "max_retries": retries["maxRetries"],
            "retry_on_asset_or_op_failure": retries["retryOnAssetOrOpFailure"],
        },
        "run_monitoring": {
            "enabled": monitoring["enabled"],
            "start_timeout_seconds": monitoring["startTimeoutSeconds"],
            "cancel_timeout_seconds": monitoring["cancelTimeoutSeconds"],
            "max_runtime_seconds": monitoring["maxRuntimeSeconds"],
            "poll_interval_seconds": monitoring["pollIntervalSeconds"],
        },
        "retention": {
            kind: {"purge_after_days": retention[kind]["purgeAfterDays"]}
            for kind in ("schedule", "sensor")
        },
        **{
            kind: {
                "use_threads": daemon[kind]["useThreads"],
                "num_workers": daemon[kind]["numWorkers"],
            }
            for kind in ("backfills", "sensors", "schedules")
        },
    }


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_of_two_event_logs_dagster_takes_the_last(
    postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = psycopg2_url(postgres.create_database("dagster_of_the_chart"))
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", address)

    def storage(kind: str, module: str, name: str) -> dict[str, Any]:
        config = {"postgres_url": {"env": "SORAFEED_DAGSTER_URL"}}
        return {kind: {"module": f"dagster_postgres.{module}", "class": name, "config": config}}

    # As the chart's template writes it: its own storages, then the additional configuration.
    parts = [
        storage("schedule_storage", "schedule_storage", "PostgresScheduleStorage"),
        storage("run_storage", "run_storage", "PostgresRunStorage"),
        storage("event_log_storage", "event_log", "PostgresEventLogStorage"),
        {"telemetry": _VALUES["telemetry"]},
        _VALUES["additionalInstanceConfig"],
    ]
    (tmp_path / "dagster.yaml").write_text("".join(map(yaml.safe_dump, parts)))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.event_log_storage, BatchingEventLogStorage)
        assert instance.event_log_storage.postgres_url == address


def test_the_databases_that_the_postgres_image_makes_are_accepted(tmp_path: Path) -> None:
    with deployed_databases(tmp_path) as databases:
        made = create_database_engine(databases.secrets["migrate_database_url"], Settings())
        roles = provide_roles(made)
        before, _ = migrate(made)
        assert before is None
        assert provide_roles(made).problems == roles.problems == ()
        made.dispose()
        # Those who are in no group do not get in.
        with psycopg.connect(databases.superuser, autocommit=True) as connection:
            connection.execute("CREATE ROLE stranger LOGIN PASSWORD 'strange'")
        stranger = make_url(databases.superuser).set(username="stranger", password="strange")
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(stranger.render_as_string(hide_password=False))


def test_runs_as_jobs_have_the_account_that_they_name() -> None:
    config = read_yaml("dagster-k8s.yaml")["run_launcher"]["config"]
    documents = read_all("kubernetes/runs.yaml")
    accounts = {
        each["metadata"]["name"]: each for each in documents if each["kind"] == "ServiceAccount"
    }
    assert accounts[config["service_account_name"]]["automountServiceAccountToken"] is False
    binding = _of_kind(documents, "RoleBinding")
    assert binding["roleRef"]["name"] == _of_kind(documents, "Role")["metadata"]["name"]
    assert {each["name"] for each in binding["subjects"]} == accounts.keys() - {
        config["service_account_name"]
    }
