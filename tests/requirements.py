"""Programs that tests need and that a machine may lack."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str, package: str) -> NoReturn:
    """Skip the test with a hint; fail it if `TASKPORT_REQUIRE_ALL` is set."""
    reason = f"{what} is missing (Debian: apt-get install {package})"
    if os.environ.get("TASKPORT_REQUIRE_ALL"):
        pytest.fail(reason)
    pytest.skip(reason)


def program(name: str, package: str, *folders: str) -> Path:
    """The path of a program in the search path or in one of these folders."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
    found = shutil.which(name, path=path)
    return Path(found) if found else missing(name, package)
