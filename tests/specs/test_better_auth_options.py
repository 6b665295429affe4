"""Each option of Better Auth has one answer, which names settings and tests that exist."""

import json
import os
import re
import subprocess
import sys
from functools import cache
from typing import Final

import pytest

from entrypoints.settings import Settings
from specs.generator.errors import error_codes
from specs.generator.options import OPTIONS_FILE, Answer, answers, find
from specs.generator.source import ROOT
from tests.waiting import LIMIT_SECONDS

OPTIONS: Final[list[str]] = json.loads(OPTIONS_FILE.read_text())
#: The versions that a test of an answer runs on; it may run on more.
VERSIONS: Final = ("1.6.30", "1.7.2", "1.7.7", "1.7.25")
TESTED: Final = [answer for answer in answers() if answer.kind in ("setting", "works")]


def option(answer: Answer) -> str:
    return answer.option


def test_each_option_has_one_answer() -> None:
    found = {path: [answer.option for answer in find(path)] for path in OPTIONS}
    assert {path: options for path, options in found.items() if len(options) != 1} == {}


def test_each_answer_is_for_an_option() -> None:
    used = {answer.option for path in OPTIONS for answer in find(path)}
    assert used == {answer.option for answer in answers()}
    assert len(used) == len(answers())


@pytest.mark.parametrize("answer", answers(), ids=option)
def test_names_in_an_answer_exist(answer: Answer) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    codes = set(re.findall(r"`([A-Z_]+)`", error_codes()))
    assert set(answer.names) <= settings | codes
    if answer.kind == "setting":
        assert settings.intersection(answer.names)


@pytest.mark.parametrize("answer", TESTED, ids=option)
def test_answer_is_tested_on_each_version(answer: Answer) -> None:
    assert answer.test is not None
    ids = [i for i in collected() if re.match(rf"{re.escape(answer.test)}\[", i)]
    for version in VERSIONS:
        assert any(re.search(rf"[\[-]{re.escape(version)}[\]-]", i) for i in ids), version


@cache
def collected() -> tuple[str, ...]:
    """The ids of all tests that answers name."""
    files = sorted({str(answer.test).partition("::")[0] for answer in TESTED})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    # Options of the running tests would change what is printed.
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    finished = subprocess.run(
        [*command, *files],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=LIMIT_SECONDS,
    )
    return tuple(finished.stdout.splitlines())
