"""An old side and this system, brought to the same state and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

import psycopg
from sqlalchemy import Engine, text

from sorafeed_assets.domain.shadow.outcome import Outcome, Rule
from sorafeed_assets.services.counts.pools import refresh_candidates
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.legacy.catalog import import_catalog
from sorafeed_assets.services.legacy.queues import import_queues, settle_imported
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.shadow.run import Pass, Shadow, compare_due
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.legacy.old_queues import old_queues
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import START, OldPost, scan, set_indexed


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a comparison."""

    engine: Engine
    settler: Settler
    url: str
    file: OldFile

    def scan(self, posts: Sequence[OldPost]) -> None:
        """Write posts as the scanner does, indexed when the tests begin."""
        with psycopg.connect(self.url) as connection:
            scan(connection, posts)
            set_indexed(connection, [post.id for post in posts], START)

    def old(self, statement: str) -> None:
        """A statement on the old catalogue."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def write(self, statement: str, **values: object) -> None:
        """A statement on ours."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def follow(self) -> None:
        """Import both sides, and count."""
        with old_catalog(self.url) as old:
            import_catalog(self.engine, old, lambda *_: None)
        with old_queues(self.file.path) as opened:
            done = import_queues(self.engine, opened, self.file.path, with_posts=True)
        settle_imported(self.engine, self.settler, done.changed)
        count_all(self.engine)

    def shadow(self, **changed: Any) -> Shadow:
        """What is compared."""
        values = {
            "engine": self.engine,
            "catalog_url": self.url,
            "queues": self.file.path,
            "pool_size": 500,
            "share": 1.0,
            "statement_seconds": 60,
            "keep_days": 90,
        }
        return Shadow(**{**values, **changed})

    def compare(self, **changed: Any) -> Pass:
        """Compare everything, also what was compared before."""
        self.write("UPDATE shadow_comparisons SET compared_at = compared_at - interval '1 day'")
        return compare_due(self.shadow(**changed), Event())

    def found(self, kind: str) -> dict[str, tuple[Outcome, tuple[Rule, ...], str]]:
        """The last comparisons of a kind, by subject and part."""
        with self.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT DISTINCT ON (subject, part) subject, part, outcome, rules, detail"
                    " FROM shadow_comparisons WHERE kind = :kind"
                    " ORDER BY subject, part, id DESC"
                ),
                {"kind": kind},
            ).all()
        return {
            " ".join(filter(None, (row.subject, row.part))): (
                Outcome(row.outcome),
                tuple(map(Rule, row.rules)),
                row.detail,
            )
            for row in rows
        }

    def outcomes(self, kind: str) -> dict[str, Outcome]:
        """Their outcomes."""
        return {key: outcome for key, (outcome, _, _) in self.found(kind).items()}


def count_all(engine: Engine) -> None:
    """Count everything, and fill the pools."""
    refresh_days(engine, None, pool_size=500)
    refresh_totals(engine)
    refresh_candidates(engine, pool_size=500)


def posts(words: str, count: int, **values: Any) -> list[OldPost]:
    """Posts about ``words``, a minute apart."""
    return [
        OldPost(
            f"s_{words.replace(' ', '_')}_{number:03}",
            text=f"A {words} number {number}",
            **{"posted_at": 1_772_366_400 + 60 * number, **values},
        )
        for number in range(count)
    ]
