"""The guide `docs/add-a-field.md` fits the files that it changes.

`tests/processes/test_worked_example.py` runs the result; this test is fast.
"""

import ast
from pathlib import Path
from shutil import copy

from tests.processes.test_worked_example import STEPS
from tests.specs.markdown import ROOT


def test_every_insertion_can_be_applied(tmp_path: Path) -> None:
    insertions = [step for step in STEPS if not step.kind.startswith("sh")]
    names = {step.file for step in insertions if "*" not in step.file}
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, tmp_path / name)
    for step in insertions:
        if step.file in names:
            step.insert(tmp_path)
    for path in tmp_path.rglob("*.py"):
        ast.parse(path.read_text())
