"""The statements that some code sends to Postgres, and their query plans."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event


@contextmanager
def before_each(
    target: Engine | Connection, work: Callable[[Any, str, Any], object]
) -> Iterator[None]:
    """Call ``work`` with the cursor, the statement and its parameters, before each statement."""

    def before(_: object, cursor: Any, statement: str, parameters: Any, *_context: object) -> None:
        work(cursor, statement, parameters)

    event.listen(target, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(target, "before_cursor_execute", before)


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """The statements that are sent meanwhile."""
    seen: list[str] = []
    with before_each(engine, lambda _cursor, statement, _parameters: seen.append(statement)):
        yield seen


@dataclass(frozen=True, slots=True)
class Plan:
    """The query plan of one statement."""

    statement: str
    nodes: list[dict[str, Any]]

    @property
    def read_whole(self) -> set[str]:
        """The tables with a sequential scan."""
        return {each["Relation Name"] for each in self.nodes if each["Node Type"] == "Seq Scan"}

    @property
    def indexes(self) -> set[str]:
        """The used indexes, but for that of the blocklist, a small table."""
        names = {each["Index Name"] for each in self.nodes if "Index Name" in each}
        return names - {"blocklist_pkey"}

    @property
    def index_conditions(self) -> dict[str, str]:
        """Index → its condition."""
        return {
            each["Index Name"]: each["Index Cond"] for each in self.nodes if "Index Cond" in each
        }

    @property
    def sorted_tables(self) -> set[str]:
        """The tables whose rows are sorted rather than read in order."""
        sorts = (each for each in self.nodes if each["Node Type"].endswith("Sort"))
        below = (inner for sort in sorts for inner in _nodes(sort))
        return {each["Relation Name"] for each in below if "Relation Name" in each}


@contextmanager
def plans_of(
    target: Engine | Connection, wanted: Callable[[str], object], *, executes: bool = False
) -> Iterator[list[Plan]]:
    """The query plans of the ``wanted`` statements that are sent meanwhile, taken before each.

    With ``executes`` each of them is executed once more, for the rows that its nodes read.
    """
    plans: list[Plan] = []
    explain = "EXPLAIN (ANALYZE, FORMAT JSON)" if executes else "EXPLAIN (FORMAT JSON)"

    def note(cursor: Any, statement: str, parameters: Any) -> None:
        if wanted(statement):
            explained = cursor.connection.execute(f"{explain} {statement}".encode(), parameters)
            plans.append(Plan(statement, list(_nodes(explained.fetchone()[0][0]["Plan"]))))

    with before_each(target, note):
        yield plans


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
