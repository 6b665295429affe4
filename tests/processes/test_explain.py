"""`taskport explain` on real databases: what it prints, that it writes nothing, and exit codes."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from tests.processes.service import SECRET, Environment, Home, error_message, new_home, signed_token
from tests.waiting import LIMIT_SECONDS

NAME: Final = "better-auth.session_token"


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture
def configured(database_url: str) -> Environment:
    """The settings of a migrated database that rejects every write."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """insert into public."user" (id, name, email, "emailVerified", "updatedAt")
            values ('ann', 'Ann', 'ann@example.com', false, now())"""
        )
        name = connection.info.dbname
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'alter database "{name}" set default_transaction_read_only = on')
    return {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET}


@pytest.mark.postgres
def test_explanations_on_a_database_that_rejects_writes(
    home: Home, configured: Environment
) -> None:
    """Also of users who would be created, or updated: the database would tell."""
    known = home.run("explain", env=configured, given=signed_token("ann", SECRET))
    assert (known.code, known.out.splitlines()[-1]) == (0, "user     ann"), known
    new = home.run("explain", env=configured, given=signed_token("new", SECRET))
    assert (new.code, new.out.splitlines()[-1]) == (0, "user     new"), new
    assert "creates or updates the user" in new.out
    unsigned = home.run("explain", env=configured, given=f"Cookie: {NAME}=abc\r\n")
    assert (unsigned.code, "signature_missing" in unsigned.out) == (0, True)
    for done in (known, new, unsigned):
        assert SECRET not in done.out + done.err
        assert "Traceback" not in done.err


@pytest.mark.postgres
def test_explanation_while_the_service_runs_on_the_embedded_database(home: Home) -> None:
    """With the same secret, which is in the data folder."""
    with home.serving() as service:
        body = {"email": "ann@example.com", "password": "correct horse battery"}
        signed_up = service.request("POST", "/api/auth/signup", json=body)
        session_token, user = signed_up.json()["session_token"], signed_up.json()["user"]["id"]
        cookie = signed_up.headers["set-cookie"]
        for given in (session_token, f"Set-Cookie: {cookie}", signed_up.json()["access_token"]):
            done = home.run("explain", given=given)
            assert (done.code, done.out.splitlines()[-1]) == (0, f"user     {user}"), done
            for secret in (session_token, given, (home.data / "secret").read_text().strip()):
                assert secret not in done.out + done.err
        service.request("POST", "/api/auth/logout", token=session_token)
        done = home.run("explain", given=session_token)
        assert (done.code, "reason   no_such_session" in done.out) == (0, True)


@pytest.mark.postgres
def test_no_embedded_database_is_created(home: Home) -> None:
    assert "no database yet" in error_message(home.run("explain", given="Bearer x"))
    assert not home.data.exists()


@pytest.mark.postgres
def test_database_that_does_not_respond_is_no_verdict(home: Home) -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/app", "BETTER_AUTH_SECRET": SECRET}
    assert error_message(home.run("explain", env=nowhere, given="Bearer x"))


@pytest.mark.parametrize("given", ["", "\n", "Host: x\n", "x" * 70_000])
def test_nothing_to_explain(home: Home, given: str) -> None:
    assert "standard input" in error_message(home.run("explain", given=given))


def test_reason_needs_no_settings(home: Home) -> None:
    done = home.run("explain", env={"DATABASE_URL": "nonsense"}, given="wrong_issuer\n")
    assert (done.code, done.out.split()[:3]) == (0, ["reason", "wrong_issuer", "cure"])


def test_closed_standard_input_is_no_crash() -> None:
    command = 'exec "$0" -m entrypoints explain <&-'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable],
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_SECONDS,
    )
    assert (done.returncode, done.stderr) == (1, "taskport: standard input is closed\n")
