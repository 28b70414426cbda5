"""The settings, and the only place that reads the environment."""

import os
from datetime import UTC, date, datetime
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, HttpUrl, PostgresDsn, RedisDsn, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sorafeed_assets.domain.errors import SetupError

SECRETS_DIR: Final = "SORAFEED_SECRETS_DIR"


class Settings(BaseSettings):
    """The settings, read from ``SORAFEED_<NAME>`` environment variables, or from files.

    A file of the folder that ``SORAFEED_SECRETS_DIR`` names has the name of a variable, in any
    case, and its value; a variable that is set wins. Without URLs the embedded servers of
    ``data_dir`` are used.
    """

    model_config = SettingsConfigDict(env_prefix="SORAFEED_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        Path(".sorafeed"), description="Folder for the files of the embedded servers and Dagster"
    )
    backup_dir: Path = Field(
        Path("sorafeed-backups"), description="Folder of the backups; keep it on another disk"
    )
    database_url: PostgresDsn | None = Field(
        None, description="PostgreSQL 18 with the catalogue, displays and queues"
    )
    database_read_url: PostgresDsn | None = Field(
        None, description="A streaming replica of that PostgreSQL, for lists and exports"
    )
    read_lag_seconds: Annotated[float, Field(ge=1, le=300)] = Field(
        10.0, description="How far a replica may lag and still be read, in seconds"
    )
    dagster_url: PostgresDsn | None = Field(
        None, description="PostgreSQL for Dagster's own storage, `postgresql+psycopg2://…`"
    )
    redis_url: RedisDsn | None = Field(None, description="Redis or Valkey for the snapshots")
    celery_url: RedisDsn | None = Field(
        None,
        description="Redis of Dagster's Celery launcher; by default the database after that of"
        " SORAFEED_REDIS_URL",
    )
    dagster_yaml: Path | None = Field(
        None,
        description="File in place of the project's dagster.yaml and its storages, for example"
        " deploy/dagster-celery.yaml",
    )
    catalog_first_day: date = Field(
        date(2026, 1, 1), description="First catalog day (UTC); the partitions start here"
    )
    days_per_run: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="How many catalog days a run of a backfill counts at most; by default one run"
        " counts all",
    )
    window: Annotated[int, Field(ge=3, le=10)] = Field(
        5, description="How many positions of a display are queued ahead"
    )
    candidates_per_pool: Annotated[int, Field(ge=1, le=10_000)] = Field(
        500, description="How many candidates are kept per term, shape and order"
    )
    cache_ttl_seconds: Annotated[int, Field(ge=60)] = Field(
        86_400, description="Lifetime of a Redis snapshot, in seconds"
    )
    statement_timeout_seconds: Annotated[int, Field(ge=1)] = Field(
        600, description="How long a statement of a job may run, in seconds"
    )
    lock_timeout_seconds: Annotated[int, Field(ge=1)] = Field(
        10, description="How long a statement may wait for a lock, in seconds"
    )
    idle_timeout_seconds: Annotated[int, Field(ge=1)] = Field(
        120, description="How long a transaction may be idle, in seconds"
    )
    api_answer_seconds: Annotated[float, Field(ge=0, le=60)] = Field(
        5.0, description="How long the API keeps an answer in memory, in seconds"
    )
    api_calls_per_second: Annotated[int, Field(ge=1)] = Field(
        200, description="How many calls a second one API token may make"
    )
    api_streams_per_token: Annotated[int, Field(ge=1)] = Field(
        1_000, description="How many event streams one token may have open in a process"
    )
    player_plan_hours: Annotated[int, Field(ge=1, le=720)] = Field(
        168, description="How many hours a player continues with its plan without a server"
    )
    player_plan_videos: Annotated[int, Field(ge=10, le=2_000)] = Field(
        300, description="How many positions a player's plan has before it repeats"
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies, separated by commas, whose X-Forwarded-For"
        " and X-Forwarded-Proto are trusted",
    )
    dagster_ui_url: HttpUrl | None = Field(
        None, description="Address of the Dagster UI, for the admin page's links"
    )
    prepared_statements: bool = Field(
        True,
        description="Whether PostgreSQL keeps the plans of statements; `false` behind a pooler that"
        " does not support it, such as PgBouncer before 1.22",
    )
    alert_webhook: HttpUrl | None = Field(
        None, description="Address that failed runs and failed checks are sent to, as JSON by POST"
    )
    prometheus_url: HttpUrl | None = Field(
        None,
        description="Address of the Prometheus that scrapes the API, for its alerts on the admin"
        " page and in `sorafeed status`, and for the signal `server_errors` of rollouts",
    )
    otlp_endpoint: HttpUrl | None = Field(
        None, description="Address of an OpenTelemetry collector (OTLP by HTTP), for traces"
    )

    legacy_catalog_url: PostgresDsn | None = Field(
        None, description="PostgreSQL of the old system's catalogue; it is only read"
    )
    legacy_queues: Path | None = Field(
        None, description="SQLite file of the old system's displays and queues; it is only read"
    )
    shadow_database_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Share of the time that comparing may use the old PostgreSQL"
    )
    shadow_statement_seconds: Annotated[int, Field(ge=1, le=300)] = Field(
        5, description="How long a statement of comparing may run on the old PostgreSQL, in seconds"
    )
    shadow_gate_days: Annotated[int, Field(ge=1, le=30)] = Field(
        7, description="Days without an unexplained difference before the gate opens"
    )
    shadow_keep_days: Annotated[int, Field(ge=30, le=3_650)] = Field(
        90, description="For how many days comparisons are kept"
    )

    @cached_property
    def low_queue(self) -> int:
        """A queue of fewer entries is low."""
        return 3

    @cached_property
    def follows_legacy(self) -> bool:
        """Whether a part of the old system is named."""
        return self.legacy_catalog_url is not None or self.legacy_queues is not None

    @cached_property
    def proxies(self) -> list[str]:
        """The trusted proxies."""
        return [each.strip() for each in self.trusted_proxies.split(",") if each.strip()]

    def as_environment(self) -> dict[str, str]:
        """The variables that give another process these settings."""
        return {
            f"SORAFEED_{name.upper()}": str(value)
            for name, value in self.model_dump().items()
            if value is not None
        }

    @field_validator("catalog_first_day")
    @classmethod
    def _is_past(cls, day: date) -> date:
        if day > datetime.now(UTC).date():
            raise ValueError("is in the future")
        return day

    @field_validator("data_dir", "legacy_queues", "dagster_yaml", "backup_dir", mode="before")
    @classmethod
    def _is_named(cls, file: object) -> object:
        # An empty path is the folder that a program runs in, which nobody means.
        if file == "":
            raise ValueError("is empty; name one, or unset it")
        return file

    @field_validator("legacy_queues", "dagster_yaml", "backup_dir")
    @classmethod
    def _is_absolute(cls, file: Path | None) -> Path | None:
        # Other processes, which get it from here, run in other folders.
        return None if file is None else file.expanduser().absolute()

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, proxies: str) -> str:
        for proxy in filter(None, map(str.strip, proxies.split(","))):
            ip_network(proxy)
        return proxies


def load_settings(**overrides: object) -> Settings:
    """Read the environment and the folder of secrets, with ``overrides`` on top.

    Raises:
        SetupError: naming every invalid variable, or a folder of secrets that is missing.
    """
    try:
        return Settings(_secrets_dir=_secrets_dir(), **overrides)  # type: ignore[arg-type]  # checked by pydantic itself
    except ValidationError as error:
        problems = [_problem(item["loc"], item["msg"], item["input"]) for item in error.errors()]
        raise SetupError("invalid settings:\n  " + "\n  ".join(problems)) from None


def _secrets_dir() -> Path | None:
    given = os.environ.get(SECRETS_DIR)
    if not given:
        return None
    folder = Path(given)
    if not folder.is_dir():
        raise SetupError(
            f"{SECRETS_DIR}: {folder} is not a folder; mount the secrets there, or unset it"
        )
    return folder


def _problem(place: tuple[int | str, ...], message: str, value: object) -> str:
    if not place:
        return message
    name = f"SORAFEED_{'_'.join(map(str, place)).upper()}"
    # An address may contain a password.
    is_address = name.endswith(("_URL", "_WEBHOOK", "_ENDPOINT"))
    return f"{name}: {message}" + ("" if is_address else f" (got {value!r})")
