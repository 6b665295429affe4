"""The internals of psycopg that we use. No other module imports any.

psycopg offers no way to wait for a statement with a timeout, and none to give one up without
waiting for the server: `DeadlineConnection` does both with the functions that psycopg itself waits with.
Any release may change them. `pyproject.toml` says which releases are known to have them; the tests
run on the oldest and on the newest of these.
"""

from psycopg.errors import _WaitTimeout as WaitTimeout
from psycopg.errors import error_from_result
from psycopg.generators import cancel
from psycopg.waiting import wait_async, wait_conn_async

__all__ = ["WaitTimeout", "cancel", "error_from_result", "wait_async", "wait_conn_async"]
