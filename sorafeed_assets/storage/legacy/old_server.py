"""Connecting to the old system's PostgreSQL, and its errors in our words.

Not here: what is read there (`storage.legacy.old_catalog`).
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from sorafeed_assets.domain.errors import SetupError, TimedOutError, UnavailableError

SETTING: Final = "SORAFEED_LEGACY_CATALOG_URL"
# `pg_read_all_stats` and `pg_stat_activity.backend_type` came with it.
_OLDEST: int = 100_000
# Its own work goes first: a statement of ours that takes this long is given up.
_SESSION: Final = {
    "default_transaction_read_only": "on",
    "statement_timeout": "300s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "300s",
    "DateStyle": "ISO",
    "client_encoding": "UTF8",
}


def version_name(number: int) -> str:
    """A ``server_version_num`` as people say it: 16.4, or 9.6 before version 10."""
    major, minor = divmod(number, 10_000)
    return f"{major}.{minor}" if major >= 10 else f"{major}.{minor // 100}"


def connect(url: str, limits: Mapping[str, str]) -> tuple[psycopg.Connection, str]:
    """Connect, and return the connection with the server's name for errors.

    ``limits`` are settings of the session, such as ``statement_timeout``.

    Raises:
        UnavailableError: it cannot be reached, or refuses the user.
        SetupError: it is older than our statements need.
    """
    # SQLAlchemy would write blanks of the options as "+", which libpq takes literally.
    plain = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)
    known = conninfo_to_dict(plain)
    host, port = known.get("host") or "localhost", known.get("port") or 5432
    where = f"{host}:{port}/{known.get('dbname') or ''}"
    session = " ".join(f"-c {name}={value}" for name, value in {**_SESSION, **limits}.items())
    options = f"{known.get('options') or ''} {session}".strip()
    with old_errors(where):
        try:
            connection = _connect(plain, options)
        except psycopg.OperationalError as error:
            # PostgreSQL 9.5 does not know all of our settings, and says no more than that.
            if "unrecognized configuration parameter" in str(error):
                with closing(_connect(plain, str(known.get("options") or ""))) as connection:
                    _check_version(connection, where)
            raise
    _check_version(connection, where)
    return connection, where


def _connect(plain: str, options: str) -> psycopg.Connection:
    return psycopg.connect(
        make_conninfo(plain, options=options, application_name="sorafeed", connect_timeout=5)
    )


def _check_version(connection: psycopg.Connection, where: str) -> None:
    version = connection.info.server_version
    if version < _OLDEST:
        connection.close()
        raise SetupError(
            f"the old catalogue at {where} is on PostgreSQL {version_name(version)}, and reading it"
            f" needs {version_name(_OLDEST).removesuffix('.0')} or later; upgrade that server, or"
            f" restore a dump of it into a newer one, and set {SETTING} to that"
        )


@contextmanager
def old_errors(where: str) -> Iterator[None]:
    """Turn the driver's errors into one that names the old catalogue."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise SetupError(
            f"the old catalogue at {where} refuses: {_first_line(error)};"
            f" grant SELECT to the user of {SETTING}"
        ) from error
    except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
        raise TimedOutError(
            f"the old catalogue at {where} took too long: {_first_line(error)};"
            " try again when it is less busy"
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        _, refuses, reason = _first_line(error).partition("FATAL:")
        what = (
            f"refuses the connection: {reason.strip()}"
            if refuses
            else (f"does not answer: {_first_line(error)}")
        )
        raise UnavailableError(
            f"the old catalogue at {where} {what}; check {SETTING} and the server"
        ) from error
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.UndefinedColumn,
        psycopg.DataError,
    ) as error:
        raise SetupError(
            f"the old catalogue at {where} cannot be read: {_first_line(error)};"
            " run `sorafeed legacy check`"
        ) from error


def _first_line(error: psycopg.Error) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
