"""Dependencies: imports are declared, declarations are locked, and locks can be installed."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVICE: list[str] = PROJECT["project"]["dependencies"]
TOOLS: list[str] = PROJECT["dependency-groups"]["dev"]
#: Each lock file, with the requirements that it must contain.
LOCKS = {
    "requirements.txt": SERVICE,
    "requirements-dev.txt": [*SERVICE, *TOOLS],
    "requirements-oldest.txt": [*SERVICE, *TOOLS],
}
#: Folders of the service.
SERVICE_FOLDERS = ("domain", "application", "adapters", "entrypoints", "alembic")
#: Folders that only development needs.
TOOL_FOLDERS = ("tests", "benchmarks", "specs")
#: The environments in which the service runs, as the markers of requirements see them.
ENVIRONMENTS = [
    {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": platform,
        "platform_system": platform.capitalize(),
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for python in ("3.11", "3.12", "3.13", "3.14")
    for platform in ("linux", "darwin")
]

Metadata = Callable[[str], Sequence[str]]


def pins(lock: str) -> Iterator[Requirement]:
    """The requirements of a lock file, without their hashes."""
    for line in lock.splitlines():
        if line and not line.startswith((" ", "#")):
            yield Requirement(line.removesuffix("\\"))


def pinned_version(pin: Requirement) -> Version:
    (specifier,) = pin.specifier
    assert specifier.operator == "=="
    return Version(specifier.version)


def versions(name: str) -> dict[str, Version]:
    """The versions that a lock file pins."""
    return {pin.name: pinned_version(pin) for pin in pins((ROOT / name).read_text())}


def applies(marker: Marker | None, extra: str = "") -> bool:
    """Whether a requirement applies in any environment, with this extra or with none."""
    return marker is None or any(
        marker.evaluate({**environment, "extra": extra}) for environment in ENVIRONMENTS
    )


def missing_extras(lock: str, declared: Iterable[str], requires: Metadata) -> list[str]:
    """The required extras that the lock file does not pin.

    pip before 24 does not install them: with hashes, `coverage[toml]` must be pinned as such.
    """
    extras: dict[str, set[str]] = {}
    for pin in pins(lock):
        # The same name is pinned twice if two versions of Python need two versions of it.
        extras[canonicalize_name(pin.name)] = pin.extras & extras.get(pin.name, pin.extras)
    required = [("pyproject.toml", Requirement(text)) for text in declared]
    for name, requested in extras.items():
        required += [
            (name, requirement)
            for requirement in map(Requirement, requires(name))
            if any(applies(requirement.marker, extra) for extra in ("", *requested))
        ]
    return [
        f"{requirement.name}[{extra}] of {by}"
        for by, requirement in required
        for extra in sorted(requirement.extras - extras[canonicalize_name(requirement.name)])
    ]


def installed_requirements(name: str) -> Sequence[str]:
    """The requirements of an installed distribution."""
    return distribution(name).requires or ()


def metadata_of(lock: str) -> Metadata:
    """The requirements of the locked distributions, which must be the installed ones."""
    locked = {canonicalize_name(pin.name): pin for pin in pins(lock) if applies(pin.marker)}
    installed = {n for n, pin in locked.items() if pin.marker is None or pin.marker.evaluate()}
    for name in installed:
        version = Version(distribution(name).version)
        assert any(
            pinned_version(pin) == version
            for pin in pins(lock)
            if canonicalize_name(pin.name) == name
        ), f"{name} {version} is installed, and another is locked: run make test"

    def requires(name: str) -> Sequence[str]:
        return installed_requirements(name) if name in installed else ()

    return requires


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_required_extras_are_pinned(name: str) -> None:
    lock = (ROOT / name).read_text()
    assert not missing_extras(lock, LOCKS[name], metadata_of(lock))


@pytest.mark.parametrize(
    ("name", "pin", "missing"),
    [
        ("requirements.txt", "psycopg[binary, pool]", "psycopg[binary] of pyproject.toml"),
        ("requirements.txt", "pyjwt[crypto]", "pyjwt[crypto] of pyproject.toml"),
        ("requirements-dev.txt", "coverage[toml]", "coverage[toml] of pytest-cov"),
    ],
)
def test_pin_without_its_extra_is_found(name: str, pin: str, missing: str) -> None:
    lock = (ROOT / name).read_text()
    assert f"\n{pin}==" in lock
    stripped = lock.replace(pin, re.sub(r"\[.*\]", "", pin))
    assert missing in missing_extras(stripped, LOCKS[name], metadata_of(stripped))


def test_extra_that_an_extra_requires_is_found() -> None:
    """And no extra that is not required."""
    requires = {"a": ["b[c]; extra == 'x'", "b[d]; extra == 'y'", "b[e]; sys_platform == 'win32'"]}
    assert missing_extras("a[x]==1\nb==1", ["a[x]"], lambda name: requires.get(name, [])) == [
        "b[c] of a"
    ]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_url(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert "--index" not in text
    for requirement in re.split(r"\n(?=\w)", text.strip()):
        assert "--hash=sha256:" in requirement, requirement[:40]


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_all_declared_requirements(name: str) -> None:
    locked = list(pins((ROOT / name).read_text()))
    for requirement in map(Requirement, LOCKS[name]):
        found = [pin for pin in locked if canonicalize_name(pin.name) == requirement.name]
        assert len(found) == 1, requirement
        assert pinned_version(found[0]) in requirement.specifier, requirement


def test_lower_bounds_are_the_oldest_tested_versions() -> None:
    oldest = versions("requirements-oldest.txt")
    for requirement in map(Requirement, (*SERVICE, *TOOLS)):
        bounds = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        assert bounds == [oldest[requirement.name]], requirement


def test_upper_bounds_allow_only_patch_releases_of_the_lock() -> None:
    """All tests run on the locked versions."""
    locked = versions("requirements.txt")
    bounds = {
        requirement.name: Version(specifier.version)
        for requirement in map(Requirement, SERVICE)
        for specifier in requirement.specifier
        if specifier.operator == "<"
    }
    assert {"fastapi", "psycopg", "uvicorn"} <= bounds.keys()
    for name, bound in bounds.items():
        version = locked[name]
        assert (bound.major, bound.minor) == (version.major, version.minor + 1), name


def imported(folders: Iterable[str]) -> set[str]:
    """The distributions that modules in these folders import."""
    tops: set[str] = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                tops.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.partition(".")[0])
    ours = {*SERVICE_FOLDERS, *TOOL_FOLDERS} - {"alembic"}
    known = packages_distributions()
    return {
        canonicalize_name(known.get(top, [top])[0]) for top in tops - ours - sys.stdlib_module_names
    }


def declared(requirements: Iterable[str]) -> set[str]:
    """The distributions that these requirements name, directly or by an extra."""
    found: set[str] = set()
    for requirement in map(Requirement, requirements):
        found.add(canonicalize_name(requirement.name))
        for inner in map(Requirement, installed_requirements(requirement.name)):
            is_extra = not applies(inner.marker) and any(
                applies(inner.marker, extra) for extra in requirement.extras
            )
            if is_extra:
                found.add(canonicalize_name(inner.name))
    return found


@pytest.mark.parametrize(
    ("folders", "requirements"),
    [(SERVICE_FOLDERS, SERVICE), (TOOL_FOLDERS, [*SERVICE, *TOOLS])],
    ids=["service", "tools"],
)
def test_imported_distributions_are_declared(
    folders: Sequence[str], requirements: list[str]
) -> None:
    assert imported(folders) <= declared(requirements)
