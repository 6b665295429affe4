"""The generated files, and which function writes which block."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from specs.generator import metrics, settings
from specs.generator.blocks import Block, fill

ROOT: Final = Path(__file__).parents[2]
DOCUMENTS: Final = sorted((ROOT / "specs" / "backend").glob("*.md"))
BLOCKS: Final[Mapping[str, Block]] = {
    block.__name__: block
    for block in (
        metrics.metrics,
        settings.commands,
        settings.settings,
    )
}


def generate() -> dict[Path, str]:
    """The text that each generated file should have."""
    files = {path: fill(path.read_text(), BLOCKS) for path in DOCUMENTS}
    return {**files, ROOT / ".env.example": settings.env_example()}
