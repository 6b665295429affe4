"""What the tests against the real Better Auth share."""

import pytest

from tests.interop import nodejs


@pytest.fixture(scope="session")
def node_modules() -> None:
    """Better Auth is installed."""
    nodejs.node_modules()
