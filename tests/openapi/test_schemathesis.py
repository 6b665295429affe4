"""Schemathesis asks a running service for whatever its own document allows, and for what not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes.service import REPOSITORY, SECRET, Service, new_home

_FOLDER = Path(__file__).parent
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
_SETTINGS = {
    "BETTER_AUTH_SECRET": SECRET,
    # Thousands of requests come from one address.
    "RATE_LIMIT": "",
    "AUTH_RATE_LIMIT": "",
    "LOG_LEVEL": "warning",
}


def _sign_up(service: Service) -> list[str]:
    """Make the users of `users.json`, with tasks of their own, and one more session each.

    Their ids, in order.
    """
    users = json.loads((_FOLDER / "users.json").read_text())
    password = users["authTemplate"]["loginEndpointAuth"]["payloadUserPwd"]["password"]
    ids = []
    for user in users["auth"]:
        email = user["loginEndpointAuth"]["payloadUserPwd"]["username"]
        body = {"email": email, "password": password}
        answer = service.request("POST", "/api/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["user"]["id"])
        for number in range(3):
            service.create(answer.json()["access_token"], f"Task {number} of {user['name']}")
    return ids


def _run(service: Service, report: Path) -> tuple[str, dict[str, Any]]:
    """What schemathesis prints, and its report."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            f"--config-file={_FOLDER / 'schemathesis.toml'}",
            *("run", f"{service.url}/openapi.json", "--no-color"),
            *("--checks=all", f"--phases={','.join(_PHASES)}"),
            *("--report=json", f"--report-json-path={report}"),
        ],
        cwd=REPOSITORY,
        env={**os.environ, "BETTER_AUTH_SECRET": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )
    assert report.exists(), done.stdout + done.stderr
    return done.stdout, json.loads(report.read_text())


@pytest.mark.process
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_service_is_what_its_document_says(database_url: str, tmp_path: Path) -> None:
    """Every phase and every check on every operation, as two users who must not see each other."""
    settings = {**_SETTINGS, "DATABASE_URL": database_url}
    with new_home() as home, home.serving(env=settings) as service:
        ann, ben = _sign_up(service)
        document = service.request("GET", "/openapi.json").json()

        printed, report = _run(service, tmp_path / "report.json")

        log = service.err
    assert report["exit_code"] == 0, printed
    assert report["complete"], printed
    assert (report["failures"], report["errors"]) == ([], []), printed
    assert {name: report["phases"][name]["status"] for name in _PHASES} == dict.fromkeys(
        _PHASES, "success"
    )
    served = sum(len(operations) for operations in document["paths"].values())
    assert report["operations"]["tested"] == served
    # The other identity was there, and was kept out.
    refused = [json.loads(line) for line in log.splitlines() if '"task_refused"' in line]
    assert (ann, ben) in {(event["owner_id"], event["user_id"]) for event in refused}
