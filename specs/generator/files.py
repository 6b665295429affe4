"""The generated files, and the function that writes each block."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from specs.generator import (
    database,
    errors,
    events,
    metrics,
    models,
    openapi,
    options,
    routes,
    services,
    settings,
)
from specs.generator.blocks import Block, fill
from specs.generator.source import ROOT

DOCUMENTS: Final = sorted((ROOT / "specs" / "backend").glob("*.md"))
BLOCKS: Final[Mapping[str, Block]] = {
    block.__name__: block
    for block in (
        database.migrations,
        database.tables,
        errors.error_classes,
        errors.error_codes,
        errors.refusal_reasons,
        events.events,
        metrics.metrics,
        models.entities,
        models.limits,
        openapi.operation,
        openapi.schemas,
        options.better_auth_options,
        routes.middleware,
        routes.routes,
        services.ports,
        services.use_cases,
        settings.commands,
        settings.settings,
    )
}


def generate() -> dict[Path, str]:
    """The text that each generated file should have."""
    files = {path: fill(path.read_text(), BLOCKS) for path in DOCUMENTS}
    return {**files, ROOT / ".env.example": settings.env_example()}
