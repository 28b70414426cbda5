"""Connections to Postgres: engines whose every session has time-outs and UTC."""

from collections.abc import Iterator
from contextlib import contextmanager
from select import POLLIN, poll
from typing import Any, Final, Self

import orjson
from psycopg import Connection as PsycopgConnection
from psycopg import Cursor
from psycopg.abc import Params
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.types.json import set_json_loads
from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, InvalidatePoolError

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.settings import Settings

# How often a statement runs in a session before its plan is kept; psycopg's default.
_PREPARED_AFTER: Final = 5


BY_VALUE: Final = "/* planned for its values */"
"""The mark of statements that need another plan for other values, such as searches for a text."""


class _Cursor(Cursor[Any]):
    """A cursor that never prepares statements that are marked `BY_VALUE`."""

    def execute(
        self,
        query: Any,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Execute a statement."""
        if isinstance(query, str) and BY_VALUE in query:
            prepare = False
        return super().execute(query, params, prepare=prepare, binary=binary)


class _Session(PsycopgConnection[Any]):
    """A connection whose prepared statements stay when a transaction is rolled back.

    psycopg drops them all then, and each read ends with a rollback, so that plans were never kept.
    It guards against tables that are replaced, which only migrations do.
    """

    def rollback(self) -> None:
        """End the transaction without its changes."""
        with self.lock:
            if self.info.transaction_status is TransactionStatus.INTRANS:
                result = self.pgconn.exec_(b"ROLLBACK")
                if result.status == ExecStatus.COMMAND_OK:
                    return
        # A failed transaction, and the error of a lost connection, are psycopg's.
        super().rollback()


def create_database_engine(
    url: str, settings: Settings, *, pool_size: int = 5, application: str = "sorafeed"
) -> Engine:
    """An engine on psycopg 3 for ``url``; sessions have statement, lock and idle time-outs.

    ``application`` is what `pg_stat_activity` shows of its sessions.
    A pooler between may drop these options: deploy/pgbouncer/pgbouncer.ini sets them again.
    """
    options = {
        "statement_timeout": settings.statement_timeout_seconds * 1000,
        "lock_timeout": settings.lock_timeout_seconds * 1000,
        "idle_in_transaction_session_timeout": settings.idle_timeout_seconds * 1000,
        "TimeZone": "UTC",
        # A bitmap of a frequent phrase's posts needs more than the default to stay exact.
        "work_mem": "64MB",
    }
    engine = create_engine(
        _psycopg(url),
        pool_size=pool_size,
        # The session that was used last has its plans and catalogue rows at hand.
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 5,
            "application_name": application,
            "prepare_threshold": _PREPARED_AFTER if settings.prepared_statements else None,
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
        },
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _read_json_fast)
    event.listen(engine, "checkout", _refuse_ended)
    if settings.otlp_endpoint is not None:
        from sorafeed_assets.storage.postgres.tracing import trace_statements

        trace_statements(engine)
    return engine


def _connect(
    _dialect: Dialect, _record: object, addresses: list[Any], options: dict[str, Any]
) -> _Session:
    return _Session.connect(*addresses, cursor_factory=_Cursor, **options)


def _refuse_ended(connection: PsycopgConnection[object], _record: object, _proxy: object) -> None:
    """Let the pool open another connection in place of one that the server has ended.

    An idle connection has something to read only then; a query to find out would cost every
    transaction a round trip.
    """
    if not connection.closed:
        socket = poll()
        socket.register(connection.fileno(), POLLIN)
    if connection.closed or socket.poll(0):
        raise InvalidatePoolError("PostgreSQL has ended the connection")


def _read_json_fast(connection: PsycopgConnection[object], _record: object) -> None:
    set_json_loads(orjson.loads, connection)


def ping(engine: Engine) -> None:
    """Check that the server answers; raises the driver's error if it does not."""
    with engine.connect() as connection:
        connection.scalar(select(1))


@contextmanager
def snapshot(engine: Engine, *, read_only: bool = False) -> Iterator[Connection]:
    """A transaction in which every statement sees the same rows (REPEATABLE READ)."""
    connected = engine.connect().execution_options(
        isolation_level="REPEATABLE READ", postgresql_readonly=read_only
    )
    with connected as connection, connection.begin():
        yield connection


def _psycopg(url: str) -> URL:
    try:
        return make_url(url).set(drivername="postgresql+psycopg")
    except ArgumentError as error:
        raise SetupError(f"SORAFEED_DATABASE_URL is not a database address: {error}") from error
