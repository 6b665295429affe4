"""Links of the documents, and the paths that they name, exist."""

import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

from tests.specs.markdown import ROOT, Document, codes, document, read

# By folder, so that documents that git does not track yet are found, too.
DOCUMENTS: Final = sorted(
    path
    for pattern in ("*.md", "specs/**/*.md", "docs/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
_PATH: Final = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|ini|yaml|txt)")
_FOLDERS: Final = {path.name for path in ROOT.iterdir() if path.is_dir()}
_MEDIA_TYPE: Final = "application/json"
_MARKER: Final = re.compile(r"<!-- (generated: .+|end) -->\n?")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def broken_links(path: Path, text: str) -> list[str]:
    """The relative links without a target."""
    found, this = [], read(path, text)
    for link in this.links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if (
            not target.exists()
            or not target.is_relative_to(ROOT)
            or (parts.fragment and parts.fragment not in anchors(target, this))
        ):
            found.append(link)
    return found


def anchors(target: Path, this: Document) -> set[str]:
    if target.suffix != ".md":
        return set()
    return (this if target == this.path else document(target)).anchors


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_targets_of_links_exist(path: Path) -> None:
    assert not broken_links(path, path.read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_every_link_is_parsed(path: Path) -> None:
    assert all(_MARKER.fullmatch(stray) for stray in document(path).strays)


def test_broken_link_is_found() -> None:
    text = (
        "# The *house* & `x`, 2\n[a](README.md) [b](#the-house--x-2) [c](README.md#taskport)\n"
        "[d](NOWHERE.md) [e](#nowhere) [f](README.md#nowhere) [g](../up.md) [h](https://a.example)"
    )
    expected = ["NOWHERE.md", "#nowhere", "README.md#nowhere", "../up.md"]
    assert broken_links(ROOT / "CONTRIBUTING.md", text) == expected


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_named_paths_exist(path: Path) -> None:
    """Paths in backticks whose first folder exists."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = [
        name
        for name in codes(text)
        if _PATH.fullmatch(name)
        and name.split("/")[0] in _FOLDERS
        and name != _MEDIA_TYPE
        and not name.endswith("/.env")
        and not (ROOT / name).exists()
    ]
    assert not missing


def test_every_tracked_document_is_checked() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {ROOT / name for name in listed} <= set(DOCUMENTS)
    assert len(DOCUMENTS) >= 14
