"""Reading the old system's SQLite file, while the web app writes it.

The file is copied by SQLite's backup API in short steps, and only the copy is read: a writer waits
for one step at most. Not here: what the rows mean (`domain.legacy.queues`).
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final

from sorafeed_assets.domain.errors import SetupError, UnavailableError

_SETTING: Final = "SORAFEED_LEGACY_QUEUES"
_MAGIC: Final = b"SQLite format 3\x00"
# The place of this number in the header, and its value in write-ahead mode.
_READ_VERSION: Final = 19
_WAL: Final = 2
# A step of 128 pages takes a fraction of a millisecond. A write between two steps begins the copy
# again, so a file that is written all the time is copied in longer ones.
_PAGES: Final = (128, 1_024, 8_192)
_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.001
_RESTARTS: Final = 10

_NEEDED: Final = {
    "displays": ("id", "name", "created_at"),
    "playlists": ("id", "display_id", "name", "created_at", "is_active", "loop_count"),
    "playlist_blocks": (
        *("id", "playlist_id", "search_term", "video_count", "fetch_mode", "format"),
        *("block_order", "times_played", "last_played_at"),
    ),
    "timeline_videos": (
        *("display_id", "video_id", "timeline_position", "status", "video_data", "created_at"),
    ),
    "video_history": (
        *("id", "display_id", "video_id", "block_id", "loop_iteration", "played_at"),
    ),
}
_ROWS: Final = {
    "displays": "SELECT * FROM displays",
    "playlists": "SELECT * FROM playlists",
    "playlist_blocks": "SELECT * FROM playlist_blocks",
}
# A time that is no ISO text, such as a number, cannot be compared with a day.
_PLAYS: Final = """
SELECT id, display_id, video_id, block_id, loop_iteration, played_at FROM video_history
WHERE coalesce(NOT (played_at GLOB '[12][0-9][0-9][0-9]-*' AND substr(played_at, 1, 10) < ?), 1)
"""
_ALL_PLAYS: Final = """
SELECT id, display_id, video_id, block_id, loop_iteration, played_at FROM video_history
"""
# Of the copy: otherwise all plays would be read for each display.
_BY_DISPLAY: Final = "CREATE INDEX IF NOT EXISTS plays_by_display ON video_history (display_id)"
_PLAYING: Final = "SELECT DISTINCT display_id FROM video_history WHERE display_id IS NOT NULL"
_PLAYS_OF: Final = f"{_ALL_PLAYS} WHERE display_id IN (SELECT value FROM json_each(?))"
_COUNT_PLAYS: Final = "SELECT count(*) FROM video_history"
_CODES: Final = "SELECT id FROM displays WHERE id IS NOT NULL ORDER BY id"
_QUEUED: Final = """
SELECT display_id, timeline_position FROM timeline_videos
WHERE status IN ('queued', 'playing') ORDER BY display_id
"""
_QUEUE: Final = """
SELECT * FROM timeline_videos WHERE status IN ('queued', 'playing')
"""
_VIDEOS: Final = """
SELECT DISTINCT video_id FROM timeline_videos
WHERE video_id IS NOT NULL AND video_data IS NOT NULL
"""
_VIDEO_DATA: Final = """
SELECT video_id, video_data, min(created_at) FROM timeline_videos
WHERE video_id IN (SELECT value FROM json_each(?)) AND video_data IS NOT NULL
GROUP BY video_id ORDER BY video_id
"""

Row = Mapping[str, object]


class OldQueues:
    """A copy of the old file, as it was at one moment."""

    def __init__(self, connection: sqlite3.Connection, change_counter: int) -> None:
        self._connection = connection
        self.change_counter = change_counter

    def rows(self, table: str) -> list[Row]:
        """All rows of displays, playlists or playlist_blocks."""
        return _dicts(self._connection.execute(_ROWS[table]))

    def plays(self, since: str | None = None) -> Iterator[Row]:
        """The plays since a day (``YYYY-MM-DD``), or all, one after the other: they may be many."""
        if since is None:
            return _each(self._connection.execute(_ALL_PLAYS))
        return _each(self._connection.execute(_PLAYS, [since]))

    def playing(self) -> list[str]:
        """The displays that have plays, as their plays write them."""
        self._connection.execute(_BY_DISPLAY)
        return [str(display) for (display,) in self._connection.execute(_PLAYING)]

    def plays_of(self, displays: Sequence[str]) -> Iterator[Row]:
        """The plays of displays, which are written as `playing` does."""
        return _each(self._connection.execute(_PLAYS_OF, [json.dumps(list(displays))]))

    def count_plays(self) -> int:
        """How many plays the file has."""
        return int(self._connection.execute(_COUNT_PLAYS).fetchone()[0])

    def queued(self) -> dict[str, list[int]]:
        """Display → the positions of the rows that wait in its queue."""
        queues: dict[str, list[int]] = {}
        for display, position in self._connection.execute(_QUEUED):
            queues.setdefault(str(display), []).append(position)
        return queues

    def queue_rows(self) -> list[Row]:
        """The rows that wait in the queues."""
        return _dicts(self._connection.execute(_QUEUE))

    def videos(self) -> Iterator[str]:
        """The ids of the posts that queues have the data of, one after the other."""
        return (str(video_id) for (video_id,) in self._connection.execute(_VIDEOS))

    def video_data(self, ids: Sequence[str]) -> list[tuple[str, str, object]]:
        """(post id, JSON text, when it was first queued) of posts."""
        found = self._connection.execute(_VIDEO_DATA, [json.dumps(list(ids))])
        return [(str(video_id), str(data), at) for video_id, data, at in found]


@contextmanager
def old_queues(path: Path) -> Iterator[OldQueues]:
    """Copy the old file, and open the copy for as long as the block lasts.

    Raises:
        SetupError: the file is missing, is not readable, not SQLite, torn, or of another schema.
        UnavailableError: it stays locked, or is written faster than it can be copied.
    """
    counter = change_counter(path)
    with TemporaryDirectory(prefix="sorafeed-") as folder:
        copy = Path(folder) / "queues.sqlite"
        with _sqlite_errors(path):
            _copy_file(path, copy)
            with closing(sqlite3.connect(copy)) as connection:
                connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
                _check_pages(path, connection, "3")
                _check_schema(path, connection)
                yield OldQueues(connection, counter)


def display_codes(path: Path) -> list[str]:
    """The displays' codes as the old file writes them, read from the file itself.

    One short transaction reads that small table, so that no writer waits for long. Other figures
    need the copy: looking for torn pages takes a lock for as long as it reads the whole file.

    Raises:
        SetupError: as `old_queues`; of the table of displays, whether it is torn.
        UnavailableError: it stays locked.
    """
    change_counter(path)
    with _sqlite_errors(path), closing(_source(path, timeout=_SECONDS)) as connection:
        connection.execute("BEGIN")
        _check_pages(path, connection, "displays")
        _check_schema(path, connection)
        return [str(code) for (code,) in connection.execute(_CODES)]


def change_counter(path: Path) -> int:
    """The file's change counter, which each of its transactions increases.

    Raises:
        SetupError: the file is missing, is not readable, not SQLite, or in WAL mode.
    """
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be read: {error.strerror}; set {_SETTING} to the file that the old"
            " system's web app writes, and let this user read it"
        ) from error
    if not header.startswith(_MAGIC) or len(header) < 100:
        what = "is empty" if not header else "is not an SQLite file"
        raise SetupError(
            f"{path} {what}; set {_SETTING} to the file that the old system's web app writes"
        )
    if header[_READ_VERSION] == _WAL:
        raise SetupError(
            f"{path} is in WAL mode, where its change counter does not tell of writes; while the"
            " web app is stopped, run once: sqlite3 FILE 'PRAGMA journal_mode = DELETE'"
        )
    return int.from_bytes(header[24:28], "big")


def _copy_file(path: Path, copy: Path) -> None:
    watch = _Watch()
    for pages in _PAGES:
        watch = _Watch()
        copy.unlink(missing_ok=True)
        with (
            closing(_source(path, timeout=0)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            try:
                source.backup(target, pages=pages, progress=watch, sleep=_PAUSE_SECONDS)
            except _TooSlowError:
                continue
            return
    if watch.is_busy:
        raise _locked(path)
    raise UnavailableError(
        f"{path} is written faster than it can be copied; try again when the web app is less busy"
    )


def _source(path: Path, timeout: float) -> sqlite3.Connection:
    """Open the old file, which is never written."""
    source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", timeout=timeout, uri=True)
    source.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return source


class _TooSlowError(Exception):
    """The copy does not come to its end in these steps."""


class _Watch:
    """Called after each step: leaves a pause to writers, and gives up a copy without end."""

    def __init__(self) -> None:
        self.is_busy = False
        self._deadline = time.monotonic() + _SECONDS
        self._left: int | None = None
        self._restarts = 0

    def __call__(self, status: int, left: int, _pages: int) -> None:
        self.is_busy = status in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        if self._left is not None and left > self._left:
            self._restarts += 1
        self._left = left
        if self._restarts > _RESTARTS or time.monotonic() > self._deadline:
            raise _TooSlowError
        # SQLite itself pauses only where the file is locked.
        if not self.is_busy:
            time.sleep(_PAUSE_SECONDS)


def _check_pages(path: Path, connection: sqlite3.Connection, what: str) -> None:
    """Check a table, or all of the file up to a number of problems."""
    found = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({what})")]
    if found != ["ok"]:
        raise _torn(path, "; ".join(found))


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    for table, needed in _NEEDED.items():
        names = {str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")}
        if not names:
            raise SetupError(
                f"{path} has no table {table}; set {_SETTING} to the file that the old system's web"
                " app writes"
            )
        missing = sorted(set(needed) - names)
        if missing:
            raise SetupError(
                f"{path} is of another schema: {table} has no column {', '.join(missing)};"
                f" set {_SETTING} to the file of a web app that writes it, or add it there"
            )


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = getattr(error, "sqlite_errorname", "")
        if name in {"SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_IOERR_SHORT_READ"}:
            raise _torn(path, str(error)) from error
        if name in {"SQLITE_BUSY", "SQLITE_LOCKED"}:
            raise _locked(path) from error
        if name in {"SQLITE_FULL", "SQLITE_IOERR_WRITE"}:
            # Only the copy is written.
            raise SetupError(
                f"the temporary folder {gettempdir()} has no space for a copy of {path}; free some,"
                " or set TMPDIR to another folder"
            ) from error
        journal = Path(f"{path}-journal")
        hint = (
            f"; {journal.name} is left of an interrupted write: start the web app once, which"
            " finishes it"
            if journal.exists()
            else ""
        )
        raise SetupError(f"{path} cannot be read: {error}{hint or '; check its rights'}") from error


def _locked(path: Path) -> UnavailableError:
    return UnavailableError(
        f"{path} stays locked by another program; end the program that holds it, such as an open"
        " transaction in a shell, and try again"
    )


def _torn(path: Path, problem: str) -> SetupError:
    return SetupError(
        f"{path} is torn: {', '.join(problem.splitlines()[:3])}; restore it from a backup, or"
        " repair it with `sqlite3 FILE .recover`, before it is imported"
    )


def _dicts(rows: sqlite3.Cursor) -> list[Row]:
    return list(_each(rows))


def _each(rows: sqlite3.Cursor) -> Iterator[Row]:
    names = [column[0] for column in rows.description]
    return (dict(zip(names, row, strict=True)) for row in rows)
