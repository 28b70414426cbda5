"""What several groups share: partitions, retries, pools, priorities, metadata, data versions."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, Final

import dagster as dg
from dagster import AssetCheckSeverity
from psycopg import OperationalError as PsycopgOperationalError
from sqlalchemy import Engine, Table, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from sorafeed_assets.domain.automation import DayRange
from sorafeed_assets.domain.errors import SorafeedError, UnavailableError
from sorafeed_assets.storage.samples import Preview, preview_displays, preview_table

OWNERS: Final = ["team:data-engineering"]
RETRIES: Final = dg.RetryPolicy(
    max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
)
# The heavy readers of Postgres run one at a time; dagster.yaml gives this pool one slot.
HEAVY_POOL: Final = "postgres_heavy"
PLAYLIST_PRIORITY: Final = {"dagster/priority": "10"}
HOURLY_PRIORITY: Final = {"dagster/priority": "5"}
# Raised by hand when a rule changes, so that the UI shows what was made by the old one.
CODE_VERSION: Final = "1"
# The version of an upstream asset with many partitions, which Dagster compares by event instead.
BY_EVENT: Final = "by event"
_PREVIEW_ROWS: Final = 10
_NOTHING: Final = Preview((), ())
_POSTGRES: Final = make_url("postgresql+psycopg://").get_dialect()()

MetadataEntry = int | float | str | dg.MetadataValue[Any]
Metadata = Mapping[str, MetadataEntry]

DISPLAYS: Final = dg.DynamicPartitionsDefinition(name="displays")


def catalog_day_partitions(first_day: date) -> dg.DailyPartitionsDefinition:
    """One partition a catalog day, today's included."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), end_offset=1)


def day_range_tags(days: DayRange) -> dict[str, str]:
    """The tags that make one run cover these days."""
    return {
        "dagster/asset_partition_range_start": days.first.isoformat(),
        "dagster/asset_partition_range_end": days.last.isoformat(),
    }


def table_schema(table: Table) -> dg.TableSchema:
    """The columns of a table as the UI shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                column.type.compile(dialect=_POSTGRES).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(
                    nullable=bool(column.nullable), unique=column.primary_key
                ),
            )
            for column in table.columns
        ]
    )


def table_metadata(table: Table) -> dict[str, object]:
    """Definition metadata of a table asset: where it lies and what its columns are."""
    return {
        "dagster/column_schema": table_schema(table),
        "dagster/table_name": f"public.{table.name}",
    }


def preview(engine: Engine, asset: str) -> dg.MarkdownMetadataValue:
    """The first rows of a table asset as a Markdown table."""
    return as_markdown(preview_table(engine, asset, _PREVIEW_ROWS))


def display_previews(
    engine: Engine, asset: str, displays: Collection[str]
) -> dict[str, dg.MarkdownMetadataValue]:
    """Per display the rows of its partition as a Markdown table."""
    found = preview_displays(engine, asset, displays)
    return {display: as_markdown(found.get(display, _NOTHING)) for display in displays}


def counted_previews(
    engine: Engine, asset: str, displays: Collection[str], name: str
) -> dict[str, Metadata]:
    """Per display its preview, and under ``name`` how many rows its partition has."""
    found = preview_displays(engine, asset, displays)
    of_displays = {display: found.get(display, _NOTHING) for display in displays}
    return {
        display: {name: len(rows.rows), "preview": as_markdown(rows)}
        for display, rows in of_displays.items()
    }


def as_markdown(rows: Preview) -> dg.MarkdownMetadataValue:
    """Rows of text as a Markdown table; what could break out of a cell is escaped."""
    if not rows.rows:
        return dg.MetadataValue.md("nothing")
    lines = [rows.columns, ["---"] * len(rows.columns), *([_cell(v) for v in r] for r in rows.rows)]
    return dg.MetadataValue.md("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _cell(value: str) -> str:
    short = value if len(value) <= 80 else f"{value[:79]}…"
    return short.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def version_tags(
    data_version: str,
    upstream: Mapping[str, str] | None = None,
    *,
    code_version: str | None = None,
    last_event: int | None = None,
) -> dict[str, str]:
    """The event tags that carry a data version and what it was made from, as Dagster writes them.

    ``upstream`` gives the data version of each asset read, by key; ``last_event`` is the newest
    event at that time: what upstream records later makes this one out of date.
    """
    read = upstream or {}
    return {
        "dagster/data_version": data_version,
        "dagster/data_version_is_user_provided": "true",
        **({"dagster/code_version": code_version} if code_version else {}),
        **{f"dagster/input_data_version/{key}": version for key, version in read.items()},
        **{f"dagster/input_event_pointer/{key}": str(last_event or "NULL") for key in read},
    }


def latest_version(instance: dg.DagsterInstance, asset: str) -> str:
    """The data version that an unpartitioned asset was last recorded with."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    materialization = event.asset_materialization if event else None
    tags = (materialization.tags if materialization else None) or {}
    return tags.get("dagster/data_version", "none")


def last_event(instance: dg.DagsterInstance) -> int | None:
    """The id of the newest event."""
    return instance.event_log_storage.get_maximum_record_id()


def partition_materialization(
    asset: str,
    partition: str,
    data_version: str,
    *,
    upstream: Mapping[str, str],
    last_event: int | None,
    metadata: Metadata | None = None,
) -> dg.AssetMaterialization:
    """The event of one partition out of a run over many, with a data version of its own."""
    return dg.AssetMaterialization(
        asset,
        partition=partition,
        metadata=dict(metadata or {}),
        tags=version_tags(data_version, upstream, code_version=CODE_VERSION, last_event=last_event),
    )


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn errors a user can act on into step failures that show nothing but their text.

    A server that is away is worth a retry; wrong input is not.
    """
    try:
        yield
    except UnavailableError as error:
        raise dg.Failure(str(error), allow_retries=True) from error
    except SorafeedError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    except (OperationalError, PsycopgOperationalError) as error:  # COPY goes past SQLAlchemy
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
    """A check's answer: passed without problems, else the first of them in plain words."""
    return dg.AssetCheckResult(
        passed=not problems,
        severity=severity,
        description="; ".join(sorted(problems)[:5]) or None,
        metadata={"looked_at": looked_at, "problems": len(problems)},
    )
