"""Deadlines of the service, and how tests replace them.

A loaded machine can miss any deadline that suits production. Tests with real servers lift all of
them (see `no_deadlines`), for processes by `environment`; a test that is about one shortens that
one.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

_PATCHES: Final = Path(__file__).parent / "processes" / "patches"
_REPOSITORY: Final = Path(__file__).parents[1]

Constants = Mapping[str, float]
#: No deadline: longer than any test runs.
LIFTED: Final[Constants] = dict.fromkeys(
    (
        "adapters.asgi.body.BODY_SECONDS",
        "adapters.asgi.deadline.REQUEST_SECONDS",
        "adapters.better_auth.passwords.WAIT_SECONDS",
        "adapters.better_auth.remote_sessions.TIMEOUT_SECONDS",
        "adapters.http.health.READY_SECONDS",
        "adapters.postgres.connection.STATEMENT_SECONDS",
        "adapters.postgres.pipeline_connection.STATEMENT_SECONDS",
        "adapters.postgres.pipeline_database.QUEUE_SECONDS",
        "adapters.postgres.pool_database.POOL_WAIT_SECONDS",
        "adapters.redis.counters.TIMEOUT_SECONDS",
        "adapters.redis.secondary_storage.TIMEOUT_SECONDS",
        "adapters.uvicorn.protocol.HEAD_SECONDS",
        "adapters.uvicorn.protocol.MESSAGE_SECONDS",
    ),
    3600.0,
)


def patch(monkeypatch: pytest.MonkeyPatch, constants: Constants = LIFTED) -> None:
    """Replace constants in this process, up to the end of the test."""
    for path, value in constants.items():
        monkeypatch.setattr(path, value)


@contextmanager
def lifted() -> Iterator[None]:
    """Without deadlines in this process, for a fixture that tests share."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        patch(monkeypatch)
        yield


def environment(constants: Constants = LIFTED) -> dict[str, str]:
    """Variables with which `taskport`, and all of its workers, run with other constants.

    Python imports `patches/sitecustomize.py` when it starts.
    """
    return {
        "PYTHONPATH": f"{_PATCHES}:{_REPOSITORY}",
        "TASKPORT_TEST_CONSTANTS": json.dumps(constants),
    }
