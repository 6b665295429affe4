"""The TypeScript modules of the document for front ends compile and work."""

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
#: Packages that the document imports and that the tests of the client do not have.
_PACKAGES: Final = ("better-auth", "jose")


def modules() -> Mapping[str, str]:
    """The modules by the path in their first line."""
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


def test_type_error_is_found(front_end: Project) -> None:
    """None of the imported types is `any`."""
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
        output = front_end.compile("--project", _NAME).stdout
    finally:
        wrong.unlink()

    found = re.findall(r"^[\w-]+/wrong\.ts\((\d),\d+\): error (TS\d+)", output, re.MULTILINE)
    assert found == [(str(line), "TS2322") for line in range(4, 8)], output


def test_modules_work(front_end: Project) -> None:
    env = {"NEXT_PUBLIC_TASKPORT_URL": front_end.service.url, "BETTER_AUTH_SECRET": SECRET}
    env["TASKPORT_URL"] = front_end.service.url
    # Next.js also replaces these variables by their values when it bundles.
    defines = [f"--define:process.env.{name}={json.dumps(value)}" for name, value in env.items()]
    bundled = front_end.run(
        str(INTEROP / "node_modules" / "esbuild" / "bin" / "esbuild"),
        f"{_NAME}/session.ts",
        *("--bundle", "--platform=node", "--format=esm", "--log-level=warning"),
        *(f"--tsconfig={_NAME}/tsconfig.json", f"--outfile={_NAME}/session.mjs"),
        *defines,
    )
    assert bundled.returncode == 0, bundled.stderr

    ran = front_end.run(f"{_NAME}/session.mjs")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "done\n"
