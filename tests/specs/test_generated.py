"""The generated tables and files are up to date, and the generator notices every change."""

import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Final, Literal, Protocol

import prometheus_client
import pytest
from fastapi import FastAPI
from pydantic import Field
from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from starlette.responses import Response

from adapters.asgi.head import Head
from adapters.http.dependencies import Deps
from adapters.http.operations import Operations
from adapters.http.schema import Schema
from application.use_cases import UseCases
from domain.errors import Conflict
from domain.tasks import TaskNotFound
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from specs.generator import (
    database,
    errors,
    events,
    metrics,
    models,
    openapi,
    routes,
    services,
    settings,
)
from specs.generator.blocks import fill, names
from specs.generator.files import BLOCKS, DOCUMENTS, generate
from specs.generator.modules import path_of
from specs.generator.source import ROOT
from tests.http.client import SECRET
from tests.specs.test_links import ids

GENERATED = generate()
#: In millimeters.
PIN_MAX_LENGTH: Final = 7


@pytest.mark.parametrize("path", GENERATED, ids=ids)
def test_generated_file_is_up_to_date(path: Path) -> None:
    assert path.read_text() == GENERATED[path], "run `make docs`"


def test_every_block_is_in_one_document() -> None:
    used = Counter(block for path in DOCUMENTS for block in names(path.read_text()))
    assert {name for name, _ in used} == set(BLOCKS)
    assert set(used.values()) == {1}


def test_text_between_markers_is_replaced_and_the_rest_is_kept() -> None:
    text = "before\n<!-- generated: one -->\nold\n<!-- end -->\nafter\n<!-- end -->\n"
    new = "before\n<!-- generated: one -->\n\nnew\n\n<!-- end -->\nafter\n<!-- end -->\n"
    assert fill(text, {"one": lambda: "new"}) == new
    assert fill(new, {"one": lambda: "new"}) == new


def test_block_gets_its_argument() -> None:
    text = "<!-- generated: one a.b -->\n\na.b!\n\n<!-- end -->"
    assert fill(text, {"one": lambda argument: f"{argument}!"}) == text


def test_unknown_block_is_an_error() -> None:
    with pytest.raises(KeyError):
        fill("<!-- generated: nothing -->\n<!-- end -->", {})


class GrownSettings(Settings):
    #: The color of
    #: the logo.
    color_count: Annotated[int, Field(ge=1, le=9)] = 3


def test_new_setting_changes_the_table_and_the_example() -> None:
    row = "| `COLOR_COUNT` | `3` | 1 to 9 | The color of the logo. |"
    assert row in settings.settings(GrownSettings).splitlines()
    assert row not in settings.settings().splitlines()
    assert settings.env_example(GrownSettings).endswith("# The color of the logo.\nCOLOR_COUNT=3\n")


def test_new_metric_changes_the_table() -> None:
    registry = prometheus_client.CollectorRegistry()
    prometheus_client.Counter("pins_total", "Pins.", ("color",), registry=registry)
    prometheus_client.Histogram("pin_seconds", "Pinning.", buckets=(0.5, 2), registry=registry)
    assert metrics.metrics(registry).splitlines()[2:] == [
        "| `pin_seconds` | histogram | — | 500 ms; 2 s | Pinning. |",
        "| `pins_total` | counter | `color` | — | Pins. |",
    ]


def test_new_error_changes_the_table_and_the_tree() -> None:
    class PinTaken(Conflict):
        """The pin exists."""

        code = "PIN_TAKEN"
        message = "The pin is taken."

    row = "| `PIN_TAKEN` | 409 | `PinTaken` | The pin is taken. | The pin exists. |"
    assert row not in errors.error_codes()
    PinTaken.__module__ = "domain.pins"
    try:
        assert row in errors.error_codes().splitlines()
        assert "│   └── PinTaken" in errors.error_classes().splitlines()
    finally:
        PinTaken.__module__ = __name__


def test_new_log_event_changes_the_table(tmp_path: Path) -> None:
    module = tmp_path / "pins.py"
    module.write_text(
        '_log = structlog.get_logger("taskport.pins")\n'
        "def f(scope):\n"
        "    log = _log.bind().debug\n"
        "    #: A pin was\n"
        "    #: added.\n"
        '    log("pin_added", number=1, **log_context(scope))\n'
        '    _log.exception("pin_lost")\n'
    )
    assert events.events(module).splitlines()[2:] == [
        "| `pin_added` | debug | `taskport.pins` | `number`, request | A pin was added. |",
        "| `pin_lost` | error | `taskport.pins` | `exception` | — |",
    ]


class NewPin(Schema):
    """A pin."""

    #: Of the head.
    color: str
    size: Annotated[int, Field(ge=1, le=9, description="In millimeters.")]
    note: str | None


@pytest.fixture
def grown() -> FastAPI:
    """The application with one more operation and one more middleware."""

    async def add_pin(deps: Deps, body: NewPin, after: int = 0) -> Response:
        """Add a pin."""
        await deps.use_cases.get_task("ann", 1)
        return Response()

    class Pins(Head):
        """Counts pins."""

    pins = Operations("pins")
    pins.post("/api/pins", returns=NewPin, raises=(TaskNotFound,))(add_pin)
    app = from_settings(Settings(better_auth_secret=SECRET))
    pins.add_to(app)
    app.add_middleware(Pins)
    return app


def test_new_operation_changes_every_table_of_operations(grown: FastAPI) -> None:
    row = f"| `POST` | `/api/pins` | `addPin` | `GetTask` | anyone | `{__name__}` |"
    assert row.replace(__name__, path_of(NewPin)) in routes.routes(grown).splitlines()
    assert openapi.operation("addPin", grown).startswith(
        "| Parameter | In | Type | Rule | Default | Meaning |\n"
        "|---|---|---|---|---|---|\n"
        "| `after` | query | integer | — | `0` | — |\n\n"
        "Body: [`NewPin`](#newpin).\n\n"
        "Responses: 200 [`NewPin`](#newpin) · 400 `MALFORMED_REQUEST` · 404 `TASK_NOT_FOUND` ·"
    )


def test_new_schema_changes_the_schemas(grown: FastAPI) -> None:
    assert (
        "### `NewPin`\n\nA pin.\n\n"
        "| Member | Type | Null | Required | Rule | Meaning |\n"
        "|---|---|---|---|---|---|\n"
        "| `color` | string | no | yes | — | Of the head. |\n"
        "| `size` | integer | no | yes | 1 to 9 | In millimeters. |\n"
        "| `note` | string | yes | yes | — | — |\n"
    ) in openapi.schemas(grown)


def test_new_middleware_changes_the_table(grown: FastAPI) -> None:
    rows = routes.middleware(grown).splitlines()
    assert rows[2] == f"| `Pins` | `{path_of(NewPin)}` | Counts pins. |"


@dataclass(frozen=True)
class AddPin:
    """Add a pin."""

    async def __call__(self) -> None:
        """Raises `TaskNotFound`, `Unavailable`."""


class Pins(Protocol):
    """Stores pins."""


@dataclass
class Pin:
    """A pin, of the
    usual kind.

    Not a needle.
    """

    #: Of the head.
    color: Literal["red"] | None
    size: int = 3

    def sharpen(self, times: int) -> None:
        """Sharpen it."""


class PinKind(Enum):
    #: A short one.
    SHORT = "short"


def test_new_field_changes_the_entities() -> None:
    assert models.entities(Pin, PinKind) == (
        "### `Pin`\n\nA pin, of the usual kind.\n\nNot a needle.\n\n"
        "| Field | Type | Default | Meaning |\n"
        "|---|---|---|---|\n"
        "| `color` | `Literal['red'] \\| None` | — | Of the head. |\n"
        "| `size` | `int` | `3` | — |\n\n"
        "| Method | Meaning |\n|---|---|\n| `sharpen(times)` | Sharpen it. |\n\n"
        "### `PinKind`\n\n"
        "| Value | Member | Meaning |\n|---|---|---|\n| `short` | `SHORT` | A short one. |"
    )


def test_new_limit_changes_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "modules", lambda: [sys.modules[__name__]])
    assert f"| `PIN_MAX_LENGTH` | `7` | `{path_of(Pin)}` | In millimeters. |" in models.limits()


def test_new_use_case_changes_the_use_cases() -> None:
    class Grown(UseCases):
        add_pin: AddPin

    row = f"| `AddPin` | `{path_of(Pin)}` | Add a pin. | `TaskNotFound`, `Unavailable` |"
    assert row in services.use_cases(Grown).splitlines()


def test_new_port_changes_the_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "classes", lambda *_: [Pins])
    assert services.ports().endswith(f"| `Pins` | `{path_of(Pin)}` | Stores pins. | `Pins` |")


def test_new_column_changes_the_tables() -> None:
    metadata = MetaData()
    Table(
        "pins",
        metadata,
        Column("size", Integer),
        Column("color", Text, nullable=False),
        Index("pins_color_idx", "color"),
        PrimaryKeyConstraint("color", name="pins_pkey"),
        CheckConstraint("size > 0", name="pins_size_check"),
        schema="taskport",
    )
    assert database.tables(metadata) == (
        "### `taskport.pins`\n\n"
        "| Column | Type | Null | Meaning |\n"
        "|---|---|---|---|\n"
        "| `size` | `integer` | yes | — |\n"
        "| `color` | `text` | no | — |\n\n"
        "| Constraint or index | Definition |\n"
        "|---|---|\n"
        "| `pins_pkey` | `PRIMARY KEY (color)` |\n"
        "| `pins_size_check` | `CHECK (size > 0)` |\n"
        "| `pins_color_idx` | `CREATE INDEX pins_color_idx ON taskport.pins (color)` |"
    )


def test_new_migration_changes_the_migrations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "alembic", tmp_path / "alembic")
    revisions = sorted(path.stem for path in tmp_path.glob("alembic/versions/*.py"))
    down = revisions[-1].partition("_")[0]
    path = tmp_path / "alembic" / "versions" / "9999_pins.py"
    path.write_text(f'"""Add pins."""\nrevision = "9999"\ndown_revision = "{down}"\n')
    monkeypatch.setattr(database, "ROOT", tmp_path)
    assert database.migrations().endswith(
        "| `9999` | `alembic/versions/9999_pins.py` | Add pins. |"
    )
