"""The list of Better Auth's options is that of the installed package."""

import json
import subprocess
from typing import Any, Final

import pytest

from specs.generator.options import OPTIONS_FILE
from tests.interop.better_auth import VERSIONS_OF_OPTIONS
from tests.interop.nodejs import FOLDER, node

pytestmark = [pytest.mark.node, pytest.mark.usefixtures("node_modules")]

NEWEST: Final = VERSIONS_OF_OPTIONS[-1]
CORE: Final = {"secret", "baseURL", "session.expiresIn", "advanced.cookies.*.name"}


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
def test_options_are_found_in_the_types_of_each_version(version: str) -> None:
    found = options(version)
    assert set(found) >= CORE
    assert "plugins.jwt.jwks.keyPairConfig.alg" in found
    assert "plugins.bearer.requireSignature" in found
    # Plugins of a client, and parts of plugins, are none of the server's.
    assert {"plugins.twoFactorClient", "plugins.totp2fa"}.isdisjoint(found)


def test_list_has_the_options_of_the_newest_version() -> None:
    """After an update, write the new list, and answer what is new in `better_auth_options.toml`."""
    assert json.loads(OPTIONS_FILE.read_text()) == options(NEWEST)


def options(version: str) -> list[str]:
    """The paths of all options, as `options.mjs` prints them."""
    finished = subprocess.run(
        [node(), "options.mjs", version], cwd=FOLDER, capture_output=True, check=True, timeout=120
    )
    # A type that is not installed may hide options. Those of earlier versions are not listed.
    assert version != NEWEST or finished.stderr == b""
    found: Any = json.loads(finished.stdout)
    assert isinstance(found, list)
    return found
