"""A connection that never keeps anybody waiting longer than it promised."""

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

from adapters.postgres.database import ConstraintViolated
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

# Only what the URL leaves open; startup parameters beyond these, `options` among them, are
# refused by a transaction-mode pooler.
_DEFAULTS: Final = {
    "connect_timeout": "15",
    "application_name": "taskport",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

_REASONS: Final = {
    "connection refused": "nobody listens there",
    "could not translate host name": "no such host",
    "failed to resolve": "no such host",
    "timeout": "no answer in time",
    "password authentication failed": "wrong password, or no such user",
    "does not exist": "no such database, or no such user",
    "too many": "too many connections",
    "remaining connection slots": "too many connections",
    "starting up": "it is starting",
    "shutting down": "it is stopping",
    "ssl": "TLS was refused",
}

_log = structlog.get_logger("taskport.postgres")
_cancelling: set[asyncio.Task[None]] = set()


def conninfo(url: str) -> str:
    """The URL for libpq: all that it says goes there untouched, our defaults beside it."""
    said = conninfo_to_dict(url)
    return make_conninfo(url, **{k: v for k, v in _DEFAULTS.items() if k not in said})


class Connection(AsyncConnection[Any]):
    """Ends a statement after `STATEMENT_SECONDS`, and hangs up rather than wait for its end.

    psycopg itself, when it is cancelled, waits up to ten seconds more for a server that may never
    answer. Here the cancel request goes out on a connection of its own while this one is closed
    at once; the server's `statement_timeout` is left to whoever owns the role, because a session
    `SET` leaks to strangers through a pooler.
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
            self.hang_up()
            raise

    def is_lost(self) -> bool:
        """Whether the server has hung up: an idle connection has nothing else to say."""
        poll = select.poll()
        poll.register(self.pgconn.socket, select.POLLIN)
        return bool(poll.poll(0))

    def hang_up(self) -> None:
        """Close at once, and have the server end what it is doing."""
        if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
            request = self.pgconn.cancel_conn()
            with suppress(errors.OperationalError):
                request.start()
                task = asyncio.create_task(_send(cancel(request)))
                _cancelling.add(task)
                task.add_done_callback(_cancelling.discard)
        self.pgconn.finish()


async def _send(cancel_request: PQGenConn[None]) -> None:
    try:
        await wait_conn_async(cancel_request, _POLL_SECONDS, CANCEL_SECONDS)
    except errors.Error:
        _log.warning("statement_not_cancelled")


CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    # Behind a transaction-mode pooler the next statement meets another server.
    "prepare_threshold": None,
    "cursor_factory": AsyncRawCursor,
}


def reason_of(error: errors.Error) -> str:
    """Why there is no connection, in words of our own: the server's name users and databases."""
    said = str(error).lower()
    found = (reason for sign, reason in _REASONS.items() if sign in said)
    return next(found, type(error).__name__)


@contextmanager
def translating() -> Iterator[None]:
    """Say what goes wrong in a `with` block in the words of `translated`."""
    try:
        yield
    except (errors.Error, UnicodeEncodeError) as error:
        meaning = translated(error)
        if meaning is error:
            raise
        # What Postgres says of a row names its values, and whoever logs this would log them.
        raise meaning from None


def translated(error: Exception) -> Exception:
    """What a driver's error means to the rest of the house; an unexpected one stays itself."""
    match error:
        case errors.IntegrityError():
            return ConstraintViolated(
                # What must not be null may have no name but the column's.
                error.diag.constraint_name or error.diag.column_name or "",
                is_unique=isinstance(error, errors.UniqueViolation),
                is_foreign_key=isinstance(error, errors.ForeignKeyViolation),
            )
        case errors.DataError() | UnicodeEncodeError():
            REFUSED_VALUES.inc()
            _log.error("value_refused", error=type(error).__name__)
            return Invalid()
        case (
            errors.OperationalError()
            | errors.ReadOnlySqlTransaction()
            # The schema is behind, a grant is missing, or a plugin's column has gone.
            | errors.UndefinedTable()
            | errors.UndefinedColumn()
            | errors.InsufficientPrivilege()
            | errors.IdleInTransactionSessionTimeout()
        ):
            _log.warning("statement_failed", error=type(error).__name__)
            return Unavailable()
        case _:
            return error
