"""The generated tables and files are up to date, and the generator notices every change."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import prometheus_client
import pytest
from pydantic import Field

from entrypoints.settings import Settings
from specs.generator import metrics, settings
from specs.generator.blocks import fill, names
from specs.generator.files import BLOCKS, DOCUMENTS, generate
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
