"""Better Auth's server, in each version of the tests, on a shared database."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

import psycopg
import pytest

from adapters.postgres.schema import check_ready, migrate
from tests.interop.better_auth import (
    PASSWORD,
    VERSIONS,
    BetterAuthServer,
    bearer_of,
    better_auth,
    cookie_of,
    server,
)
from tests.interop.nodejs import FOLDER
from tests.interop.test_migration import better_auth_rows, public_schema

pytestmark = [
    pytest.mark.node,
    pytest.mark.postgres,
    pytest.mark.usefixtures("node_modules"),
]

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
EMAIL: Final = "ada@example.com"
MODULES: Final = FOLDER / "node_modules"
CORE: Final = "@better-auth/core"
#: A version that needs one more column, which its own migration creates.
WITH_ISSUER: Final = "1.7.2"


@pytest.mark.parametrize("version", VERSIONS)
def test_installed_versions_are_consistent(version: str) -> None:
    """npm may resolve a dependency of one version to that of another."""
    package = MODULES / ("better-auth" if version == "1.7.7" else f"better-auth-{version}")
    # In the order in which Node.js resolves it.
    own, shared = package / "node_modules" / CORE, MODULES / CORE

    assert version_of(package) == version
    assert version_of(own if own.exists() else shared) == version


@pytest.mark.parametrize("version", [v for v in VERSIONS if v != WITH_ISSUER])
def test_it_works_on_tables_of_our_migration(database_url: str, version: str) -> None:
    with server(database_url, secret=SECRET, version=version) as running:
        assert_it_works(running)


def test_it_works_on_tables_of_our_migration_and_then_its_own(database_url: str) -> None:
    """A version that needs one more column adds it, and Taskport accepts that."""
    with server(database_url, secret=SECRET, version=WITH_ISSUER, migrate="run") as running:
        assert_it_works(running)
    check_ready(database_url)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_works_on_its_own_tables_after_our_migration(
    empty_database_url: str, version: str
) -> None:
    """An existing front end, of any version, is not affected."""
    with server(empty_database_url, secret=SECRET, version=version, migrate="run") as running:
        running.sign_up("grace@example.com").raise_for_status()
    tables, rows = public_schema(empty_database_url), better_auth_rows(empty_database_url)

    migrate(empty_database_url)

    check_ready(empty_database_url)
    assert public_schema(empty_database_url) == tables
    assert better_auth_rows(empty_database_url) == rows
    assert better_auth(empty_database_url, VERSION=version)["sql"] == ";"
    assert has_issuer(empty_database_url) is (version == WITH_ISSUER)
    with server(empty_database_url, secret=SECRET, version=version) as running:
        running.sign_in("grace@example.com").raise_for_status()
        assert_it_works(running)


def test_password_change_can_revoke_other_sessions(database_url: str) -> None:
    with server(database_url, secret=SECRET) as running:
        old = cookie_of(running.sign_up(EMAIL))
        changed = running.change_password(old, PASSWORD, "correct horse staple", revoke=True)

        assert running.get_session(old).json() is None
        assert running.get_session(cookie_of(changed)).json()["user"]["email"] == EMAIL
        assert running.sign_in(EMAIL).status_code == 401
        assert running.sign_in(EMAIL, "correct horse staple").is_success


def test_sessions_survive_a_restart(database_url: str) -> None:
    with server(database_url, secret=SECRET) as running:
        session, url = cookie_of(running.sign_up(EMAIL)), running.url
        running.restart()

        assert running.url == url
        assert running.get_session(session).json()["user"]["email"] == EMAIL


def test_it_exits_with_its_parent(database_url: str) -> None:
    """If the parent is killed, the kernel closes the pipe to its standard input."""
    with server(database_url, secret=SECRET) as running:
        assert running.process.stdin is not None
        running.process.stdin.close()

        assert running.process.wait(10) == 0


def test_stop_leaves_no_process(database_url: str) -> None:
    with server(database_url, secret=SECRET) as running:
        running.stop()

        assert running.process.returncode == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            os.kill(running.process.pid, 0)


@pytest.mark.parametrize("version", ["1.7.7", "1.7.24"])
def test_it_does_not_start_with_an_unknown_required_column(database_url: str, version: str) -> None:
    """So our migration must not add a column to Better Auth's tables."""
    with psycopg.connect(database_url) as connection:
        connection.execute('alter table "user" add column tier text not null')

    with (
        pytest.raises(RuntimeError, match="does not respond"),
        server(database_url, secret=SECRET, version=version),
    ):
        pass


def test_version_that_is_not_installed_fails(database_url: str) -> None:
    with (
        pytest.raises(RuntimeError, match="did not start"),
        server(database_url, secret=SECRET, version="1.7.8"),
    ):
        pass
    with pytest.raises(subprocess.CalledProcessError):
        better_auth(database_url, VERSION="1.7.8")


def assert_it_works(running: BetterAuthServer) -> None:
    """Sign-up, sign-in and sign-out, with every form of credential."""
    signed_up = running.sign_up(EMAIL)
    user = signed_up.raise_for_status().json()["user"]
    signed_in = running.sign_in(EMAIL)
    session = cookie_of(signed_in)

    assert running.get_session(session).json()["user"] == user
    assert running.get_session(bearer_of(signed_in)).json()["user"] == user
    assert running.claims(running.token(session).json()["token"])["sub"] == user["id"]

    assert running.sign_out(session).json() == {"success": True}
    assert running.get_session(session).json() is None
    assert running.token(session).status_code == 401
    assert running.get_session(cookie_of(signed_up)).json()["user"] == user
    assert running.get_session().json() is None


def version_of(package: Path) -> str:
    manifest = json.loads((package / "package.json").read_text())
    assert isinstance(manifest["version"], str)
    return manifest["version"]


def has_issuer(url: str) -> bool:
    query = """
        select count(*) = 1 from information_schema.columns
        where table_name = 'account' and column_name = 'issuer'
    """
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchone() == (True,)
