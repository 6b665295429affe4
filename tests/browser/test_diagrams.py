"""The diagrams of the documents, drawn by Mermaid itself as GitHub does."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Error, Page

from tests.interop.nodejs import node_modules
from tests.specs.markdown import Code, document
from tests.specs.test_links import DOCUMENTS

FOLDER: Final = Path(__file__).parent / "node"
DIAGRAMS: Final = [
    pytest.param(code, id=f"{path.stem}-{code.line}")
    for path in DOCUMENTS
    for code in document(path).codes
    if code.kind == "mermaid"
]


@pytest.fixture(scope="module")
async def mermaid(browser: Browser) -> AsyncIterator[Page]:
    """A page that can draw."""
    node_modules(FOLDER)
    page = await browser.new_page()
    script = FOLDER / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
    await page.add_script_tag(path=script)
    yield page
    await page.close()


async def draw(mermaid: Page, text: str) -> str:
    """The picture as SVG. Raises `Error` where the text is no diagram."""
    svg: str = await mermaid.evaluate(
        "async text => (await mermaid.render('diagram', text)).svg", text
    )
    return svg


@pytest.mark.parametrize("code", DIAGRAMS)
async def test_a_diagram_is_drawn(mermaid: Page, code: Code) -> None:
    assert (await draw(mermaid, code.text)).startswith("<svg")


async def test_a_diagram_that_is_none_is_found(mermaid: Page) -> None:
    with pytest.raises(Error, match="Parse error"):
        await draw(mermaid, "sequenceDiagram\n    A->>B: one; two\n")
