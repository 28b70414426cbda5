"""What several rooms share: partitions, retries, pools, priorities, table metadata, errors."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg
from dagster import AssetCheckSeverity
from psycopg import OperationalError as PsycopgOperationalError
from pydantic import Field
from sqlalchemy import Table, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from sorafeed_assets.defs.dagster_internals import priority_tags, range_tags
from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError, UnavailableError
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

    def asked(self, context: dg.AssetExecutionContext) -> list[str]:
        """The displays to work on.

        Raises:
            InvalidInputError: one of them is not a partition of the run.
        """
        return _narrowed(context.partition_keys, self.displays, "displays")


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
        return _narrowed(context.partition_keys, self.days, "days")


def _narrowed(keys: Sequence[str], asked: Sequence[str], field: str) -> list[str]:
    unknown = sorted(set(asked) - set(keys))
    if unknown:
        raise InvalidInputError(field, f"{unknown[0]!r} is not a partition of the run")
    return sorted(set(asked)) or list(keys)


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
        tags=day_range_tags(chosen[0], chosen[-1]),
    )


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
        tags=range_tags(ordered[0], ordered[-1]),
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
        raise dg.Failure(str(error), allow_retries=False) from error
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
