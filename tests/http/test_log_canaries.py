"""The search for secrets in everything that tests log."""

import logging

import pytest
import structlog

from tests import canaries
from tests.http.api import LOGIN, TASK, TASKS, WRONG_LOGIN
from tests.http.client import SECRET, shared_secret_token
from tests.interop.better_auth import PASSWORD as INTEROP_PASSWORD
from tests.interop.taskport import SECRET as INTEROP_SECRET
from tests.processes.service import SECRET as PROCESSES_SECRET


@pytest.mark.parametrize(
    "planted",
    [
        SECRET,
        LOGIN["password"],
        LOGIN["email"],
        TASK["title"],
        pytest.param(shared_secret_token(), id="shared secret token"),
        "Bearer abc",
        "better-auth.session_token=abc",
        f"{'0a' * 16}:{'1b' * 64}",
        "postgresql://ann:pw@db.example.com/app",
        "postgresql+psycopg://ann:pw@db/app",
        "canary-5b1c",
    ],
)
def test_logged_secret_fails_the_test_that_logged_it(planted: str) -> None:
    """In any part of a line; and the next test does not fail for it."""
    log = structlog.get_logger("taskport.tests")
    for fields in ({"route": planted}, {"deep": [{"in": planted}]}):
        log.info("planted", **fields)
        with pytest.raises(AssertionError, match="in the log"):
            canaries.assert_sound_log()
    log.info("planted", route=TASKS)
    canaries.assert_sound_log()


def test_log_lines_of_libraries_are_searched() -> None:
    logging.getLogger("library").warning("it failed for %s", LOGIN["password"])
    with pytest.raises(AssertionError, match="in the log"):
        canaries.assert_sound_log()


def test_secrets_of_the_tests_are_searched_for() -> None:
    for secret in (
        *(SECRET, INTEROP_SECRET, PROCESSES_SECRET),
        *(LOGIN["password"], WRONG_LOGIN["password"], INTEROP_PASSWORD),
        *(LOGIN["email"], TASK["title"]),
    ):
        assert canaries.secrets_in(f"line {secret} line"), secret
    assert not canaries.secrets_in(
        '{"event":"request","route":"/api/tasks/{task_id}","status":200}'
    )


@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        ("error_code", {"status": 404}),
        ("error_code", {"status": 503, "error_code": None, "reason": None}),
        ("reason", {"status": 401, "error_code": "UNAUTHENTICATED", "reason": None}),
        ("reason", {"status": 403, "error_code": "FORBIDDEN", "reason": None}),
    ],
)
def test_unexplained_error_fails_its_test(missing: str, fields: dict[str, object]) -> None:
    log = structlog.get_logger("taskport.tests")
    log.info("request", **fields)
    with pytest.raises(AssertionError, match=f"{missing} is missing"):
        canaries.assert_sound_log()
    for status in (200, 304, 499):
        log.info("request", status=status)
    log.info("request", status=404, error_code="NOT_FOUND", reason=None)
    canaries.assert_sound_log()
