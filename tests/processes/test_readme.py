"""The section "A first session" of the README."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.service import REPOSITORY, new_home
from tests.waiting import LIMIT_SECONDS

pytestmark = pytest.mark.postgres


def test_first_session_works_if_pasted() -> None:
    """With another port, and another path of the command."""
    readme = Path(REPOSITORY, "README.md").read_text()
    found = re.search(r"## A first session.*?```sh\n(.*?)```", readme, re.DOTALL)
    assert found is not None
    with new_home() as home, home.serving() as service:
        script = found[1].replace("http://localhost:8000", service.url)
        script = script.replace(".venv/bin/taskport", f"{sys.executable} -m entrypoints")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
            **home.options(),
        )
    assert done.returncode == 0, done.stderr
    created, listed, got, updated, completed, deleted = done.stdout.strip().splitlines()
    assert '"title":"Water the plants"' in created
    assert listed == f'{{"data":[{created}],"count":1,"total":1,"page":1,"limit":50}}'
    assert got == created
    assert '"description":"Daily"' in updated
    assert '"status":"Completed"' in completed
    assert deleted == "204"
