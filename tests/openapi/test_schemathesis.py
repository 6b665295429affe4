"""Schemathesis tests a running service with requests generated from its OpenAPI document."""

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


def _create_users(service: Service) -> list[str]:
    """Sign up the users of `users.json` and create three tasks for each; their ids, in order."""
    users = json.loads((_FOLDER / "users.json").read_text())
    password = users["authTemplate"]["loginEndpointAuth"]["payloadUserPwd"]["password"]
    ids = []
    for user in users["auth"]:
        email = user["loginEndpointAuth"]["payloadUserPwd"]["username"]
        body = {"email": email, "password": password}
        response = service.request("POST", "/api/auth/signup", json=body)
        assert response.status_code == 201, response.text
        ids.append(response.json()["user"]["id"])
        for number in range(3):
            service.create(response.json()["access_token"], f"Task {number} of {user['name']}")
    return ids


def _run(service: Service, report: Path) -> tuple[str, dict[str, Any]]:
    """Run schemathesis; its standard output and its report."""
    completed = subprocess.run(
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
    assert report.exists(), completed.stdout + completed.stderr
    return completed.stdout, json.loads(report.read_text())


@pytest.mark.process
@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_service_conforms_to_its_openapi_document(database_url: str, tmp_path: Path) -> None:
    """Every phase and check on every operation, as two users with tasks of their own."""
    settings = {**_SETTINGS, "DATABASE_URL": database_url}
    with new_home() as home, home.serving(env=settings) as service:
        ann, ben = _create_users(service)
        document = service.request("GET", "/openapi.json").json()

        output, report = _run(service, tmp_path / "report.json")

        log = service.err
    assert report["exit_code"] == 0, output
    assert report["complete"], output
    assert (report["failures"], report["errors"]) == ([], []), output
    assert {name: report["phases"][name]["status"] for name in _PHASES} == dict.fromkeys(
        _PHASES, "success"
    )
    served = sum(len(operations) for operations in document["paths"].values())
    assert report["operations"]["tested"] == served
    # The peer requested the user's tasks and was rejected.
    rejections = [json.loads(line) for line in log.splitlines() if '"task_refused"' in line]
    assert (ann, ben) in {(event["owner_id"], event["user_id"]) for event in rejections}
