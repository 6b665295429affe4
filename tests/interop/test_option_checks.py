"""`taskport check` notes other options of the real Better Auth, and has no note without them."""

import pytest

from tests.adapters.test_option_checks import notes
from tests.interop.better_auth import VERSIONS_OF_OPTIONS, server
from tests.interop.taskport import SECRET
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres, pytest.mark.usefixtures("node_modules")]

MONTH = 2_592_000


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
async def test_lifetime_of_sessions(postgres_18_server: PostgresServer, version: str) -> None:
    with (
        postgres_18_server.database(template="template0") as url,
        server(url, secret=SECRET, version=version, migrate="run") as running,
    ):
        for number in range(5):
            signed_up = running.sign_up(f"{number}@example.com").raise_for_status()
            running.sign_in(f"{number}@example.com", rememberMe=False).raise_for_status()
            running.token({"Authorization": f"Bearer {signed_up.json()['token']}"})
        assert await notes(url) == []

        running.restart(expires_in=MONTH)
        for number in range(5):
            running.sign_in(f"{number}@example.com").raise_for_status()
        [message] = await notes(url)
        assert f"SESSION_EXPIRES_IN={MONTH}" in message
