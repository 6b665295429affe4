"""The generated tables and files are up to date, and the generator notices every change."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import prometheus_client
import pytest
from fastapi import FastAPI
from pydantic import Field
from starlette.responses import Response

from adapters.asgi.head import Head
from adapters.http.dependencies import Deps
from adapters.http.operations import Operations
from adapters.http.schema import Schema
from domain.errors import Conflict
from domain.tasks import TaskNotFound
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from specs.generator import errors, events, metrics, openapi, routes, settings
from specs.generator.blocks import fill, names
from specs.generator.files import BLOCKS, DOCUMENTS, generate
from specs.generator.modules import path_of
from tests.http.client import SECRET
from tests.specs.test_links import ids

GENERATED = generate()


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
