"""Every Mermaid diagram of the documents renders, in the library that GitHub uses."""

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
    """A page that has loaded Mermaid."""
    node_modules(FOLDER)
    page = await browser.new_page()
    script = FOLDER / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
    await page.add_script_tag(path=script)
    yield page
    await page.close()


async def render(mermaid: Page, text: str) -> str:
    """Render a diagram as SVG. Raises `Error` if Mermaid cannot parse the text."""
    svg: str = await mermaid.evaluate(
        "async text => (await mermaid.render('diagram', text)).svg", text
    )
    return svg


@pytest.mark.parametrize("code", DIAGRAMS)
async def test_diagram_renders(mermaid: Page, code: Code) -> None:
    assert (await render(mermaid, code.text)).startswith("<svg")


async def test_malformed_diagram_raises(mermaid: Page) -> None:
    with pytest.raises(Error, match="Parse error"):
        await render(mermaid, "sequenceDiagram\n    A->>B: one; two\n")
