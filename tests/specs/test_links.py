"""Where the documents lead to, and what of the repository they name."""

import re
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import pytest

from tests.specs.markdown import ROOT, Document, codes, document, read

# By folder, so that what is found does not depend on what git has been told yet.
DOCUMENTS: Final = sorted(
    path
    for pattern in ("*.md", "specs/**/*.md", "docs/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
_PATH: Final = re.compile(r"(?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|md|toml|ini|yaml|txt)")
_ROOMS: Final = {path.name for path in ROOT.iterdir() if path.is_dir()}
_MEDIA_TYPE: Final = "application/json"
_MARKER: Final = re.compile(r"<!-- (generated: .+|end) -->\n?")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def dead_ends(path: Path, text: str) -> list[str]:
    """Relative links that lead nowhere."""
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
def test_links_and_anchors_lead_somewhere(path: Path) -> None:
    assert not dead_ends(path, path.read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_no_link_is_overlooked(path: Path) -> None:
    assert all(_MARKER.fullmatch(stray) for stray in document(path).strays)


def test_a_link_that_leads_nowhere_is_found() -> None:
    text = (
        "# The *house* & `x`, 2\n[a](README.md) [b](#the-house--x-2) [c](README.md#taskport)\n"
        "[d](NOWHERE.md) [e](#nowhere) [f](README.md#nowhere) [g](../up.md) [h](https://a.example)"
    )
    nowhere = ["NOWHERE.md", "#nowhere", "README.md#nowhere", "../up.md"]
    assert dead_ends(ROOT / "CONTRIBUTING.md", text) == nowhere


@pytest.mark.parametrize("path", DOCUMENTS, ids=ids)
def test_paths_that_are_named_exist(path: Path) -> None:
    """In backticks, and in a folder that there is."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    missing = [
        name
        for name in codes(text)
        if _PATH.fullmatch(name)
        and name.split("/")[0] in _ROOMS
        and name != _MEDIA_TYPE
        and not name.endswith("/.env")
        and not (ROOT / name).exists()
    ]
    assert not missing


def test_every_document_is_looked_at() -> None:
    """All that is tracked, so that none can hide in a folder of its own."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {ROOT / name for name in listed} <= set(DOCUMENTS)
    assert len(DOCUMENTS) >= 14
