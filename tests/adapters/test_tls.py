"""R5: the TLS parameters of a URL reach libpq. The server is Debian's, with TLS."""

import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from adapters.postgres.database import Statement
from adapters.postgres.pipeline_database import PipelineDatabase
from adapters.postgres.schema import check_ready, migrate
from adapters.postgres_server.os_user import OsUser
from domain.errors import Unavailable
from tests.requirements import program
from tests.servers import passable_folder, postgres_15

pytestmark = [pytest.mark.postgres, pytest.mark.debian]

ENCRYPTED = Statement("test", "select ssl from pg_stat_ssl where pid = pg_backend_pid()")


@pytest.fixture(scope="module")
def tls_url() -> Iterator[str]:
    openssl = program("openssl", "openssl")
    with passable_folder() as folder, postgres_15() as server:
        key, certificate = folder / "key", folder / "certificate"
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        for file in (key, certificate):
            OsUser.choose().own(file)
        with psycopg.connect(server.url, autocommit=True) as conn:
            for name, value in (("ssl_key_file", key), ("ssl_cert_file", certificate)):
                conn.execute(f"alter system set {name} = '{value}'")
            conn.execute("alter system set ssl = on")
            conn.execute("select pg_reload_conf()")
        with server.database() as url:
            yield f"{url.replace('127.0.0.1', 'localhost')}?sslrootcert={certificate}"


@pytest.mark.parametrize(
    "parameters",
    ["&sslmode=require&channel_binding=require", "&sslmode=verify-full&channel_binding=prefer"],
)
async def test_connection_is_encrypted(tls_url: str, parameters: str) -> None:
    url = tls_url + parameters
    migrate(url)
    check_ready(url)
    database = PipelineDatabase(url)
    await database.open()
    assert await database.fetch_one(ENCRYPTED, {}) == (True,)
    async with database.transaction() as transaction:
        assert await transaction.fetch_one(ENCRYPTED, {}) == (True,)
    await database.close()


async def test_server_with_another_host_name_is_rejected(
    tls_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sslmode=verify-full` compares the host name with the certificate."""
    monkeypatch.setattr("adapters.postgres.pipeline_database.QUEUE_SECONDS", 0.5)
    url = tls_url.replace("@localhost", "@127.0.0.1") + "&sslmode=verify-full"
    database = PipelineDatabase(url)
    await database.open()
    with pytest.raises(Unavailable):
        await database.fetch_one(ENCRYPTED, {})
    await database.close()
