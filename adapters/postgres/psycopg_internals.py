"""The internals of psycopg that we use. No other module imports any.

psycopg has no documented way to wait for a statement with a timeout, nor to abandon one without
waiting for the server. `DeadlineConnection` does both, with the functions that psycopg itself
waits with. Any release may change them: `pyproject.toml` limits the releases, and the tests run on
the oldest and on the newest of these.
"""

from psycopg.errors import _WaitTimeout as WaitTimeout
from psycopg.errors import error_from_result
from psycopg.generators import cancel
from psycopg.waiting import wait_async, wait_conn_async

__all__ = ["WaitTimeout", "cancel", "error_from_result", "wait_async", "wait_conn_async"]
