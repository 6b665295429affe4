"""What the tests against the real Better Auth share."""

import pytest

from tests.interop import better_auth


@pytest.fixture(scope="session")
def node_modules() -> None:
    """Better Auth is installed."""
    better_auth.node_modules()
