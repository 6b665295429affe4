"""The modules in TypeScript that the document for front ends shows: they compile, and they work."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.interop.nodejs import FOLDER as INTEROP
from tests.interop.nodejs import node_modules
from tests.openapi.test_typescript import Project, project
from tests.processes.service import SECRET
from tests.specs.markdown import SPECS, document

pytestmark = [pytest.mark.node, pytest.mark.process, pytest.mark.postgres]

__all__ = ["project"]

NODE: Final = Path(__file__).parent / "node"
_NAME: Final = "front-end"
_PACKAGES: Final = ("better-auth", "jose")
"""Of those that the document imports, what the tests of the client do not have."""


def modules() -> Mapping[str, str]:
    """Each with the path that its first line names."""
    found = {}
    for code in document(SPECS / "integration-spec.md").codes:
        if code.kind == "ts":
            named = re.match(r"// (\S+\.ts)\n", code.text)
            assert named, f"line {code.line}: no path"
            assert named[1] not in found, f"line {code.line}: {named[1]} is there already"
            found[named[1]] = code.text
    return found


@pytest.fixture(scope="module")
def front_end(project: Project) -> Project:
    """The project, with the modules in a folder of their own."""
    node_modules(INTEROP)
    folder = project.folder / _NAME
    shutil.copytree(NODE, folder)
    (folder / "node_modules").mkdir()
    for name in _PACKAGES:
        (folder / "node_modules" / name).symlink_to(INTEROP / "node_modules" / name)
    for path, text in modules().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "lib" / "openapi.ts").symlink_to(project.folder / "openapi.ts")
    return project


def test_every_module_compiles(front_end: Project) -> None:
    listed = front_end.compile("--project", _NAME, "--listFiles")

    assert listed.returncode == 0, listed.stdout
    folder = front_end.folder / _NAME
    assert {str(folder / path) for path in modules()} <= set(listed.stdout.splitlines())


def test_a_module_that_is_wrong_is_found(front_end: Project) -> None:
    """And none of the types that the others are compiled against is `any`."""
    wrong = front_end.folder / _NAME / "wrong.ts"
    wrong.write_text(
        'import { auth } from "./lib/auth";\n'
        'import { authClient } from "./lib/auth-client";\n'
        'import { getTask, listTasks } from "./lib/tasks";\n'
        "export const a: boolean = auth.options;\n"
        "export const b: boolean = (await authClient.token()).data;\n"
        "export const c: boolean = await getTask(1);\n"
        "export const d: boolean = await listTasks();\n"
    )
    try:
        said = front_end.compile("--project", _NAME).stdout
    finally:
        wrong.unlink()

    found = re.findall(r"^[\w-]+/wrong\.ts\((\d),\d+\): error (TS\d+)", said, re.MULTILINE)
    assert found == [(str(line), "TS2322") for line in range(4, 8)], said


def test_the_modules_work(front_end: Project) -> None:
    told = {"NEXT_PUBLIC_TASKPORT_URL": front_end.service.url, "BETTER_AUTH_SECRET": SECRET}
    told["TASKPORT_URL"] = front_end.service.url
    # As Next.js does it: what the environment says is written into the program.
    known = [f"--define:process.env.{name}={json.dumps(value)}" for name, value in told.items()]
    made = front_end.run(
        str(INTEROP / "node_modules" / "esbuild" / "bin" / "esbuild"),
        f"{_NAME}/session.ts",
        *("--bundle", "--platform=node", "--format=esm", "--log-level=warning"),
        *(f"--tsconfig={_NAME}/tsconfig.json", f"--outfile={_NAME}/session.mjs"),
        *known,
    )
    assert made.returncode == 0, made.stderr

    ran = front_end.run(f"{_NAME}/session.mjs")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "done\n"
