"""What several rooms share: partitions, retries, pools, priorities, table metadata, errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg
from dagster import AssetCheckSeverity
from psycopg import OperationalError as PsycopgOperationalError
from pydantic import Field
from sqlalchemy import Table, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from sorafeed_assets.defs.dagster_internals import partition_span, priority_tags, range_tags
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError, UnavailableError
from sorafeed_assets.domain.text import few
from sorafeed_assets.storage.playlists.rows import display_ids
from sorafeed_assets.storage.postgres.descriptions import description_of

OWNERS: Final = ["team:data-engineering"]
RETRIES: Final = dg.RetryPolicy(
    max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
# The heavy readers of Postgres run one at a time; dagster.yaml gives this pool one slot.
HEAVY_POOL: Final = "postgres_heavy"
PLAYLIST_PRIORITY: Final = priority_tags(10)
HOURLY_PRIORITY: Final = priority_tags(5)
# Increased by hand when a rule changes, so that the UI shows what the old rule made.
CODE_VERSION: Final = "1"
# Counts are refreshed hourly; after this time they are late.
HOURLY: Final = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=3), warn_window=timedelta(hours=2)
)
ASKED_BY_TAG: Final = "sorafeed/asked_by"
"""The tag of a run that names the sensor that asked for it."""
DISPLAYS_TAG: Final = "sorafeed/displays"
"""The tag of a run that says which displays it is about; it names only a few of many."""
DAYS_TAG: Final = "sorafeed/days"
"""The tag of a run that says which catalog days it is about."""
_POSTGRES: Final = make_url("postgresql+psycopg://").get_dialect()()

DISPLAYS: Final = dg.DynamicPartitionsDefinition(name="displays")
ROLLOUTS: Final = dg.DynamicPartitionsDefinition(name="rollouts")


class DisplaysConfig(dg.Config):
    """Which of the run's displays to work on."""

    displays: list[str] = Field(
        default_factory=list,
        description="Limits the work to these partitions of the run; only changes are recorded."
        " When empty: all of them, and each is recorded.",
    )

    def asked(self, context: dg.AssetExecutionContext, connections: Connections) -> list[str]:
        """The displays to work on.

        A run that a sensor asked for may be about a deleted display, which it empties.

        Raises:
            InvalidInputError: one of them is not a partition of the run, or does not exist.
        """
        asked = _narrowed(context, self.displays, "displays")
        if ASKED_BY_TAG in context.run.tags:
            return asked
        with connections.engine.connect() as connection:
            unknown = sorted(set(asked) - set(display_ids(connection, asked)))
        if unknown:
            raise InvalidInputError(
                "displays",
                f"{few(unknown)}: no such display; check the code, or create it with"
                " `sorafeed displays add`",
            )
        return asked


class DaysConfig(dg.Config):
    """Which of the run's catalog days to work on, and how."""

    days: list[str] = Field(
        default_factory=list,
        description="Limits the work to these partitions of the run, such as 2026-11-24; only"
        " changes are recorded. When empty: all of them, and each is recorded.",
    )
    recount: bool = Field(
        default=False, description="Repair: count the days again from their posts' text."
    )

    def asked(self, context: dg.AssetExecutionContext) -> list[str]:
        """The days to work on.

        Raises:
            InvalidInputError: one of them is not a partition of the run.
        """
        return _narrowed(context, self.days, "days")


def _narrowed(context: dg.AssetExecutionContext, asked: Sequence[str], field: str) -> list[str]:
    if partition_span(context.run.tags) is None:
        raise InvalidInputError(field, "the run has no partitions; choose some in the launchpad")
    keys = context.partition_keys
    unknown = sorted(set(asked) - set(keys))
    if unknown:
        raise InvalidInputError(
            field, f"{few(unknown)}: not among the partitions of the run; choose them there too"
        )
    return sorted(set(asked)) or list(keys)


def default_config(configs: Mapping[str, dg.Config]) -> dict[str, Any]:
    """The config of a job that the launchpad shows: every field with its default, by asset."""
    return {"ops": {asset: {"config": dict(config)} for asset, config in configs.items()}}


def catalog_day_partitions(first_day: date) -> dg.DailyPartitionsDefinition:
    """One partition for each catalog day, including today."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), end_offset=1)


def day_range_tags(first: date, last: date) -> dict[str, str]:
    """The tags that make one run cover the days from ``first`` to ``last``, both included."""
    return range_tags(first.isoformat(), last.isoformat())


def run_over_days(job: str, days: Collection[date], *, run_key: str | None = None) -> dg.RunRequest:
    """One run over these days, which need not be contiguous; over today when there are none."""
    chosen = sorted(days) or [datetime.now(UTC).date()]
    config = {"days": [day.isoformat() for day in chosen]}
    return dg.RunRequest(
        run_key=run_key,
        job_name=job,
        run_config={"ops": {"video_counts_daily": {"config": config}}},
        tags={
            **day_range_tags(chosen[0], chosen[-1]),
            DAYS_TAG: few(day_ranges(chosen)),
        },
    )


def day_ranges(days: Sequence[date]) -> list[str]:
    """Sorted days as text, consecutive ones as a range: ``2026-11-20 to 2026-11-24``."""
    ranges: list[list[date]] = []
    for day in days:
        if ranges and day - ranges[-1][-1] == timedelta(days=1):
            ranges[-1][1:] = [day]
        else:
            ranges.append([day])
    return [" to ".join(day.isoformat() for day in ends) for ends in ranges]


def run_over_displays(
    job: str, assets: Collection[str], displays: Collection[str], partitions: Sequence[str]
) -> dg.RunRequest:
    """One run over these displays (at least one), which need not be contiguous.

    ``partitions`` are all of them in Dagster's order, in which they were added.
    """
    chosen = set(displays)
    ordered = [name for name in partitions if name in chosen]
    config = {"displays": sorted(chosen)}
    return dg.RunRequest(
        job_name=job,
        run_config={"ops": {asset: {"config": config} for asset in assets}},
        tags={**range_tags(ordered[0], ordered[-1]), DISPLAYS_TAG: few(sorted(chosen))},
    )


def table_schema(table: Table) -> dg.TableSchema:
    """The columns of a table as the UI shows them."""
    keys = table.primary_key.columns
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type.compile(dialect=_POSTGRES).lower(),
                description=description_of(column),
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable),
                    unique=column.primary_key and len(keys) == 1,
                ),
            )
            for column in table.columns
        ]
    )


def table_metadata(table: Table) -> dict[str, object]:
    """Definition metadata of a table asset: where it lies and what its columns are."""
    return {
        "dagster/column_schema": table_schema(table),
        "dagster/table_name": f"sorafeed.public.{table.name}",
    }


def columns_metadata(table_name: str, columns: Mapping[str, tuple[str, str]]) -> dict[str, object]:
    """The same for an asset that is not one of our tables: name → (type, description)."""
    return {
        "dagster/table_name": table_name,
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(name, kind, description=description)
                for name, (kind, description) in columns.items()
            ]
        ),
    }


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn errors that a user can act on into step failures that show only their text.

    An unavailable server is worth a retry; wrong input is not.
    """
    try:
        yield
    except UnavailableError as error:
        raise dg.Failure(str(error), allow_retries=True) from error
    except SorafeedError as error:
        # Its text says everything; as a cause it would be shown a second time.
        raise dg.Failure(str(error), allow_retries=False) from None
    except (OperationalError, PsycopgOperationalError) as error:  # COPY bypasses SQLAlchemy
        text = str(getattr(error, "orig", error)).strip()
        raise dg.Failure(f"Postgres does not answer as it should: {text}") from error
    except DBAPIError as error:
        raise dg.Failure(f"Postgres refused a statement: {error.orig}") from error


def check_result(
    problems: Collection[str],
    looked_at: int,
    *,
    severity: AssetCheckSeverity = AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """A check's result: passed without problems, else the first of them in plain words."""
    return dg.AssetCheckResult(
        passed=not problems,
        severity=severity,
        description="; ".join(sorted(problems)[:5]) or None,
        metadata={"looked_at": looked_at, "problems": len(problems)},
    )
