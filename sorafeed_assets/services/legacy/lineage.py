"""The data versions of `legacy_posts`: what the last comparison of each day has read there."""

import re
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.storage.legacy.comparisons import Comparison, read_comparisons
from sorafeed_assets.storage.lineage_records import Change, hold_asset, write_changes

LEGACY_POSTS: Final = "legacy_posts"
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def write_versions(connection: Connection, compared: Iterable[Comparison]) -> None:
    """Record the versions of the days among these comparisons."""
    changes = [
        Change(
            LEGACY_POSTS,
            each.part,
            each.old_digest,
            {},
            {
                "dagster/partition_row_count": each.old_rows,
                "repaired": each.repaired,
                "only_here": each.only_here,
            },
        )
        for each in compared
        if _DAY.fullmatch(each.part) and each.old_digest is not None
    ]
    if changes:
        hold_asset(connection, LEGACY_POSTS)
        write_changes(connection, changes)


def record_legacy_posts(engine: Engine) -> None:
    """Record the versions of all days that were compared."""
    with engine.begin() as connection:
        write_versions(connection, read_comparisons(connection))
