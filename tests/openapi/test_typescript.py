"""A client in TypeScript, made from the document that is served."""

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
_USES: Final = {
    "a_task": 'await api.POST("/api/tasks", { body: { title: "Buy milk" } });',
    "a_name": 'export const name = (await api.GET("/api/users/me")).data?.name;',
    "a_part": 'export const body: components["schemas"]["TaskUpdate"] = { description: null };',
}
_MISUSES: Final = {
    # The code by which TypeScript refuses it, and the line.
    "unknown_path": ("TS2345", 'await api.GET("/api/tusks", {});'),
    "unknown_method": ("TS2345", 'await api.DELETE("/api/tasks", {});'),
    "no_id": ("TS2554", 'await api.GET("/api/tasks/{task_id}");'),
    "text_for_an_id": (
        "TS2322",
        'await api.GET("/api/tasks/{task_id}", { params: { path: { task_id: "7" } } });',
    ),
    "unknown_parameter": (
        "TS2353",
        'await api.GET("/api/tasks", { params: { query: { colour: "red" } } });',
    ),
    "unknown_order": (
        "TS2322",
        'await api.GET("/api/tasks", { params: { query: { sort: "colour" } } });',
    ),
    "no_title": ("TS2322", 'await api.POST("/api/tasks", { body: {} });'),
    "number_for_a_title": ("TS2322", 'await api.POST("/api/tasks", { body: { title: 7 } });'),
    "null_for_a_title": (
        "TS2322",
        'export const body: components["schemas"]["TaskUpdate"] = { title: null };',
    ),
    # openapi-fetch itself lets further members pass.
    "unknown_member": (
        "TS2353",
        'export const body: components["schemas"]["NewTask"] = { title: "x", colour: "red" };',
    ),
    "unknown_status": (
        "TS2322",
        'export const body: components["schemas"]["NewTask"] = { title: "x", status: "Lost" };',
    ),
    "unread_member": ("TS2339", 'export const age = (await api.GET("/api/users/me")).data?.age;'),
    "unread_error": ("TS2339", 'export const code = (await api.GET("/health")).error?.code;'),
    "success_taken_for_granted": (
        "TS2532",
        'export const name = (await api.GET("/api/users/me")).data.name;',
    ),
}


@dataclass(frozen=True)
class Project:
    """A folder with the programs, and the types that were made from the served document."""

    folder: Path
    service: Service

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What a program of Node.js says."""
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
        """Make types of a document."""
        done = self.run(
            "node_modules/openapi-typescript/bin/cli.js",
            document,
            f"--output={target}",
        )
        assert done.returncode == 0, done.stderr

    def compile(self, *options: str) -> subprocess.CompletedProcess[str]:
        """What `tsc` says, with the settings of the project."""
        return self.run("node_modules/typescript/bin/tsc", "--pretty", "false", *options)


@pytest.fixture(scope="module")
def project(
    postgres_18_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    node_modules(FOLDER)
    # The sources lie beside what is made, for that is how they import it.
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


def test_a_generated_client_runs_a_whole_session(project: Project) -> None:
    compiled = project.compile()
    assert compiled.returncode == 0, compiled.stdout

    ran = project.run("out/session.js")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "done\n"


def test_the_compiler_refuses_misuse(project: Project) -> None:
    """Each for its own reason; and what is right compiles beside it."""
    folder = project.folder / "misuse"
    folder.mkdir()
    (folder / "openapi.ts").symlink_to(project.folder / "openapi.ts")
    lines = _USES | {name: line for name, (_, line) in _MISUSES.items()}
    for name, line in lines.items():
        (folder / f"{name}.ts").write_text(f"{_PREAMBLE}{line}\n")
    (folder / "tsconfig.json").write_text(
        '{"extends": "../tsconfig.json", "files": [], "include": ["."]}'
    )

    # Not every program needs all of the preamble.
    options = ("--noEmit", "--noUnusedLocals", "false")
    said = project.compile("--project", "misuse", *options).stdout

    found = re.findall(r"^misuse/(\w+)\.ts\((\d+),\d+\): error (TS\d+)", said, re.MULTILINE)
    wanted = [(name, "4", code) for name, (code, _) in _MISUSES.items()]
    assert sorted(found) == sorted(wanted), said


def test_the_session_compiles_for_no_looser_document(project: Project) -> None:
    """One in which some members may be anything; the compiler says which."""
    folder = project.folder / "looser"
    folder.mkdir()
    for name in ("session.ts", "exact.ts", "tsconfig.json"):
        shutil.copy(project.folder / name, folder)
    document = json.loads((project.folder / "openapi.json").read_text())
    loose = (("Task", "title"), ("Session", "current"), ("NewTask", "status"))
    for schema, member in loose:
        document["components"]["schemas"][schema]["properties"][member] = {}
    (folder / "openapi.json").write_text(json.dumps(document))
    project.generate("looser/openapi.json", "looser/openapi.ts")

    said = project.compile("--project", "looser", "--noEmit").stdout

    for schema, member in loose:
        assert f'"/{schema}/{member}"' in said
