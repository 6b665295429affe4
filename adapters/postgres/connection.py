"""A psycopg connection with a deadline for each statement, and the translation of its errors."""

import asyncio
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import structlog
from psycopg import AsyncConnection, AsyncRawCursor, errors
from psycopg.abc import PQGen, PQGenConn
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus

from adapters.postgres.database import ConstraintViolated, LayoutChanged
from adapters.postgres.metrics import REFUSED_VALUES
from adapters.postgres.psycopg_internals import (
    WaitTimeout,
    cancel,
    wait_async,
    wait_conn_async,
)
from domain.errors import Invalid, Unavailable

STATEMENT_SECONDS: Final = 5.0
CANCEL_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 1.0

# Applied only where the URL does not set them. No further startup parameters (`options`, for
# one): a pooler in transaction mode rejects them.
_DEFAULTS: Final = {
    "connect_timeout": "15",
    "application_name": "taskport",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

#: Reasons for a failed connection attempt, by a text that libpq's or the server's message contains.
_REASONS: Final = {
    "connection refused": "connection refused",
    "could not translate host name": "no such host",
    "failed to resolve": "no such host",
    "timeout": "connection timed out",
    "password authentication failed": "wrong password, or no such user",
    "does not exist": "no such database, or no such user",
    "too many": "too many connections",
    "remaining connection slots": "too many connections",
    "starting up": "the server is starting up",
    "shutting down": "the server is shutting down",
    "ssl": "TLS was rejected",
}

_log = structlog.get_logger("taskport.postgres")
# References that keep the tasks from being garbage-collected.
_cancel_tasks: set[asyncio.Task[None]] = set()


def conninfo(url: str) -> str:
    """The connection string for libpq: the URL unchanged, with our defaults added."""
    given = conninfo_to_dict(url)
    return make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in given})


class DeadlineConnection(AsyncConnection[Any]):
    """A connection that is closed if a statement runs longer than `STATEMENT_SECONDS`.

    When psycopg itself is cancelled, it waits up to ten seconds more for the server. This
    connection is closed at once, and the cancel request is sent on a connection of its own. The
    deadline is not left to the server's `statement_timeout`, because a session `SET` leaks through
    a pooler to other clients.
    """

    async def wait(
        self,
        gen: PQGen[Any],
        interval: float = 0,
        timeout: float | None = None,  # noqa: ASYNC109 (psycopg's signature)
    ) -> Any:
        try:
            return await wait_async(
                gen, self.pgconn.socket, interval=_POLL_SECONDS, timeout=STATEMENT_SECONDS
            )
        except (WaitTimeout, asyncio.CancelledError):
            self.abort()
            raise

    def is_closed_by_server(self) -> bool:
        """Whether the server has closed this idle connection.

        An idle connection receives nothing else, so a readable socket means its end.
        """
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))

    def abort(self) -> None:
        """Close the connection at once, and cancel the statement that it runs."""
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            request = self.pgconn.cancel_conn()
            with suppress(errors.OperationalError):
                request.start()
                task = asyncio.create_task(_send_cancel_request(cancel(request)))
                _cancel_tasks.add(task)
                task.add_done_callback(_cancel_tasks.discard)
        self.pgconn.finish()


async def _send_cancel_request(request: PQGenConn[None]) -> None:
    try:
        await wait_conn_async(request, _POLL_SECONDS, CANCEL_SECONDS)
    except errors.Error:
        #: The cancel request for a statement did not reach the server.
        _log.warning("statement_not_cancelled")


CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    # No prepared statements: behind a pooler in transaction mode, the next statement may reach
    # another server connection, which does not know them.
    "prepare_threshold": None,
    "cursor_factory": AsyncRawCursor,
}


def connect_failure(error: errors.Error) -> str:
    """Why a connection attempt failed, in our own words: the server's name users and databases."""
    message = str(error).lower()
    reasons = (reason for part, reason in _REASONS.items() if part in message)
    return next(reasons, type(error).__name__)


@contextmanager
def translating_errors() -> Iterator[None]:
    """Translate the driver's errors in a `with` block, see `translate_error`."""
    try:
        yield
    except (errors.Error, UnicodeEncodeError) as error:
        translation = translate_error(error)
        if translation is error:
            raise
        # Without its cause: the server's message quotes the row, and a traceback would log it.
        raise translation from None


def translate_error(error: Exception) -> Exception:
    """The error that a `Database` raises instead of one of the driver; unexpected ones stay."""
    match error:
        case errors.IntegrityError():
            return ConstraintViolated(
                # A `not null` constraint may have no name (before PostgreSQL 18).
                error.diag.constraint_name or error.diag.column_name or "",
                is_unique=isinstance(error, errors.UniqueViolation),
                is_foreign_key=isinstance(error, errors.ForeignKeyViolation),
            )
        case errors.DataError() | UnicodeEncodeError():
            REFUSED_VALUES.inc()
            #: PostgreSQL cannot store a value that passed every rule: a rule is missing. `error` is
            #: the type of the exception.
            _log.error("value_refused", error=type(error).__name__)
            return Invalid()
        case (
            errors.OperationalError()
            | errors.ReadOnlySqlTransaction()
            | errors.InsufficientPrivilege()
            | errors.IdleInTransactionSessionTimeout()
        ):
            #: The database rejects a statement for now: 503. `error` is the type of the exception.
            _log.warning("statement_failed", error=type(error).__name__)
            return Unavailable()
        case (
            errors.UndefinedTable()
            | errors.UndefinedColumn()
            | errors.InvalidSchemaName()
            # There is no operator for the type that a column has now.
            | errors.UndefinedFunction()
            | errors.DatatypeMismatch()
        ):
            _log.warning("statement_failed", error=type(error).__name__)
            return LayoutChanged()
        case _:
            return error
