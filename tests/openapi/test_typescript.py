"""A TypeScript client, generated from the OpenAPI document that the service returns."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.interop.nodejs import node, node_modules
from tests.processes.service import SECRET, Service, new_home
from tests.servers import PostgresServer
from tests.waiting import LIMIT_SECONDS

pytestmark = [pytest.mark.node, pytest.mark.process, pytest.mark.postgres]

FOLDER: Final = Path(__file__).parent / "node"
_UNLIMITED: Final = {"RATE_LIMIT": "", "AUTH_RATE_LIMIT": ""}
_PREAMBLE: Final = """\
import createClient from "openapi-fetch";
import type { components, paths } from "./openapi.js";
export const api = createClient<paths>();
"""
_VALID: Final = {
    "new_task": 'await api.POST("/api/tasks", { body: { title: "Buy milk" } });',
    "name": 'export const name = (await api.GET("/api/users/me")).data?.name;',
    "update": 'export const body: components["schemas"]["TaskUpdate"] = { description: null };',
}
_INVALID: Final = {
    # Expected error code of TypeScript, and the line of code.
    "unknown_path": ("TS2345", 'await api.GET("/api/tusks", {});'),
    "unknown_method": ("TS2345", 'await api.DELETE("/api/tasks", {});'),
    "no_id": ("TS2554", 'await api.GET("/api/tasks/{task_id}");'),
    "text_as_id": (
        "TS2322",
        'await api.GET("/api/tasks/{task_id}", { params: { path: { task_id: "7" } } });',
    ),
    "unknown_parameter": (
        "TS2353",
        'await api.GET("/api/tasks", { params: { query: { colour: "red" } } });',
    ),
    "unknown_sort": (
        "TS2322",
        'await api.GET("/api/tasks", { params: { query: { sort: "colour" } } });',
    ),
    "no_title": ("TS2322", 'await api.POST("/api/tasks", { body: {} });'),
    "number_as_title": ("TS2322", 'await api.POST("/api/tasks", { body: { title: 7 } });'),
    "null_as_title": (
        "TS2322",
        'export const body: components["schemas"]["TaskUpdate"] = { title: null };',
    ),
    # openapi-fetch itself accepts unknown members.
    "unknown_member": (
        "TS2353",
        'export const body: components["schemas"]["NewTask"] = { title: "x", colour: "red" };',
    ),
    "unknown_status": (
        "TS2322",
        'export const body: components["schemas"]["NewTask"] = { title: "x", status: "Lost" };',
    ),
    "unknown_response_member": (
        "TS2339",
        'export const age = (await api.GET("/api/users/me")).data?.age;',
    ),
    "unknown_error_member": (
        "TS2339",
        'export const code = (await api.GET("/health")).error?.code;',
    ),
    "unchecked_success": (
        "TS2532",
        'export const name = (await api.GET("/api/users/me")).data.name;',
    ),
}


@dataclass(frozen=True)
class Project:
    """A folder with the sources and the generated types, and the running service."""

    folder: Path
    service: Service

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a Node.js program in the folder."""
        return subprocess.run(
            [node(), *command],
            cwd=self.folder,
            env={**os.environ, "BASE_URL": self.service.url, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT_SECONDS,
        )

    def generate(self, document: str, target: str) -> None:
        """Generate types from a document. Both paths are relative to the folder."""
        completed = self.run(
            "node_modules/openapi-typescript/bin/cli.js",
            document,
            f"--output={target}",
        )
        assert completed.returncode == 0, completed.stderr

    def compile(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run `tsc` with the settings of the project."""
        return self.run("node_modules/typescript/bin/tsc", "--pretty", "false", *options)


@pytest.fixture(scope="module")
def project(
    postgres_18_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    node_modules(FOLDER)
    # The sources import the generated types from their own folder.
    folder = tmp_path_factory.mktemp("typescript") / "project"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(FOLDER / "node_modules")
    with postgres_18_server.database() as url, new_home() as home:
        settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, **_UNLIMITED}
        with home.serving(env=settings) as service:
            project = Project(folder, service)
            (folder / "openapi.json").write_text(service.request("GET", "/openapi.json").text)
            project.generate("openapi.json", "openapi.ts")
            yield project


def test_generated_client_runs_a_complete_session(project: Project) -> None:
    compiled = project.compile()
    assert compiled.returncode == 0, compiled.stdout

    ran = project.run("out/session.js")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "done\n"


def test_compiler_rejects_invalid_use_of_the_client(project: Project) -> None:
    """Each invalid line fails with its own error; the valid lines compile."""
    folder = project.folder / "invalid"
    folder.mkdir()
    (folder / "openapi.ts").symlink_to(project.folder / "openapi.ts")
    lines = _VALID | {name: line for name, (_, line) in _INVALID.items()}
    for name, line in lines.items():
        (folder / f"{name}.ts").write_text(f"{_PREAMBLE}{line}\n")
    (folder / "tsconfig.json").write_text(
        '{"extends": "../tsconfig.json", "files": [], "include": ["."]}'
    )

    # Not every file uses all imports of the preamble.
    options = ("--noEmit", "--noUnusedLocals", "false")
    output = project.compile("--project", "invalid", *options).stdout

    found = re.findall(r"^invalid/(\w+)\.ts\((\d+),\d+\): error (TS\d+)", output, re.MULTILINE)
    expected = [(name, "4", code) for name, (code, _) in _INVALID.items()]
    assert sorted(found) == sorted(expected), output


def test_session_does_not_compile_if_the_document_is_less_exact(project: Project) -> None:
    """Members without a type are compile errors that name the member."""
    folder = project.folder / "loose"
    folder.mkdir()
    for name in ("session.ts", "exact.ts", "tsconfig.json"):
        shutil.copy(project.folder / name, folder)
    document = json.loads((project.folder / "openapi.json").read_text())
    loose = (("Task", "title"), ("Session", "current"), ("NewTask", "status"))
    for schema, member in loose:
        document["components"]["schemas"][schema]["properties"][member] = {}
    (folder / "openapi.json").write_text(json.dumps(document))
    project.generate("loose/openapi.json", "loose/openapi.ts")

    output = project.compile("--project", "loose", "--noEmit").stdout

    for schema, member in loose:
        assert f'"/{schema}/{member}"' in output
