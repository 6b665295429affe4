"""Parses the files of `deploy/` as the programs that read them do."""

import configparser
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import yaml  # type: ignore[import-untyped]

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
GUIDE: Final = ROOT / "docs" / "deployment.md"
#: The values that an operator enters in `.env`.
FILLED: Final = {
    "TASKPORT_VERSION": "0.1.0",
    "TLS_FOLDER": "/etc/taskport/tls",
    "POSTGRES_PASSWORD": "a0" * 32,
    "TASKPORT_OWNER_PASSWORD": "b1" * 32,
    "TASKPORT_APP_PASSWORD": "c2" * 32,
    "REDIS_PASSWORD": "d3" * 32,
    "BETTER_AUTH_SECRET": "a-secret-of-the-tests-0123456789abcdef",
    "BETTER_AUTH_URL": "https://app.example.com",
    "CORS_ORIGINS": "https://app.example.com",
    "ALLOWED_HOSTS": "api.example.com",
}

Service = dict[str, Any]


def compose(name: str = "compose.yaml") -> dict[str, Any]:
    """Parse a compose file: anchors are resolved, variables are not."""
    parsed: dict[str, Any] = from_yaml((DEPLOY / name).read_text())
    return parsed


def from_yaml(text: str) -> Any:
    return yaml.safe_load(text)


def services() -> dict[str, Service]:
    found: dict[str, Service] = compose()["services"]
    return found


def filled(text: str, values: Mapping[str, str] = FILLED) -> str:
    """Replace the variables of `.env`, and `$$` by a dollar."""
    return re.sub(
        r"\$(?:\$|\{(\w+):\?\})", lambda match: values[match[1]] if match[1] else "$", text
    )


def environment(service: Service) -> dict[str, str]:
    return {name: filled(value) for name, value in service.get("environment", {}).items()}


def command(service: Service) -> list[str]:
    return [filled(word) for word in service.get("command", [])]


def example() -> dict[str, str]:
    """The variables of `deploy/.env.example`."""
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    pairs = (line.partition("=")[::2] for line in lines if line and not line.startswith("#"))
    return dict(pairs)


@dataclass(frozen=True)
class Stage:
    """A stage of the Containerfile."""

    base: str
    name: str
    steps: tuple[tuple[str, str], ...]

    def all(self, instruction: str) -> list[str]:
        return [arguments for name, arguments in self.steps if name == instruction]

    def copied(self) -> Iterator[tuple[str, str]]:
        """The paths that are copied from the repository, with their targets."""
        for arguments in self.all("COPY"):
            *sources, target = arguments.split()
            for source in sources:
                yield source, target


def stages() -> dict[str, Stage]:
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    found: list[tuple[str, str, list[tuple[str, str]]]] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, arguments = line.split(maxsplit=1)
        if name == "FROM":
            base, _, stage = arguments.split()
            found.append((base, stage, []))
        else:
            found[-1][2].append((name, arguments))
    return {stage: Stage(base, stage, tuple(steps)) for base, stage, steps in found}


def is_excluded(path: str) -> bool:
    """Whether `.dockerignore` excludes a path: its last matching line decides."""
    excluded = False
    parts = Path(path).parts
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!").removeprefix("**/")
        names = parts if "**/" in line else above
        if any(fnmatch(name, pattern) for name in names):
            excluded = not line.startswith("!")
    return excluded


def nginx() -> str:
    return (DEPLOY / "nginx.conf").read_text()


def directives(name: str) -> list[str]:
    """The arguments of each directive of this name in nginx.conf."""
    return re.findall(rf"^\s*{name}\s+([^;{{]+);", nginx(), re.MULTILINE)


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found, text
    return int(found[1])


def pgbouncer() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(comment_prefixes=(";",), interpolation=None)
    parsed.read(DEPLOY / "pgbouncer.ini")
    return parsed


def unit() -> dict[str, list[str]]:
    """The settings of the systemd unit, of all sections."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "taskport@.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            found.setdefault(name, []).append(value)
    return found


def guide_blocks(kind: str) -> list[str]:
    """The fenced code blocks of one kind in the guide."""
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def guide_commands(name: str) -> Iterator[list[str]]:
    """The arguments of each call of a program in the shell blocks of the guide."""
    for kind in ("sh", "sh run"):
        for block in guide_blocks(kind):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.search(rf"(?:^|\s|bin/){re.escape(name)}(?=\s)([^|;&<>)]*)", line)
                if found and found[1].strip() and not line.lstrip().startswith("#"):
                    yield shlex.split(found[1], comments=True)
