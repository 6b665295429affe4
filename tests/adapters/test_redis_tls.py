"""Sessions in a Redis with TLS: `rediss://` verifies the certificate and its name."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from adapters.postgres_server.loopback import free_port
from adapters.redis.secondary_storage import RedisSecondaryStorage
from domain.errors import Unavailable
from entrypoints.settings import Settings
from tests.http.client import SECRET
from tests.redis_server import redis
from tests.requirements import program
from tests.servers import passable_folder

pytestmark = [pytest.mark.debian, pytest.mark.process]

_PASSWORD: Final = "secret-2b9e"


@dataclass(frozen=True)
class TlsServer:
    port: int
    certificate: Path

    def url(self, host: str = "localhost", *, is_trusted: bool = True) -> str:
        trusted = f"?ssl_ca_certs={self.certificate}" if is_trusted else ""
        return f"rediss://:{_PASSWORD}@{host}:{self.port}/0{trusted}"


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    with passable_folder() as folder:
        key, certificate, port = folder / "key", folder / "certificate", free_port()
        subprocess.run(
            [
                *(program("openssl", "openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                *("-days", "2", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
            ],
            check=True,
            capture_output=True,
        )
        files = ("--tls-cert-file", certificate, "--tls-key-file", key)
        with redis("--tls-port", str(port), *files, "--tls-auth-clients", "no") as server:
            server.ask("SET", "better-auth:key", "value")
            server.ask("CONFIG", "SET", "requirepass", _PASSWORD)
            yield TlsServer(port, certificate)


async def test_values_are_read_over_tls(server: TlsServer) -> None:
    settings = Settings(better_auth_secret=SECRET, better_auth_sessions=server.url())
    storage = RedisSecondaryStorage(settings.better_auth_sessions, "better-auth:")
    assert await storage.get("key") == ["value"]
    assert await storage.get("key", "none") == ["value", None]
    await storage.close()


@pytest.mark.parametrize(("host", "is_trusted"), [("localhost", False), ("127.0.0.1", True)])
async def test_other_certificates_are_refused(
    server: TlsServer, host: str, is_trusted: bool
) -> None:
    storage = RedisSecondaryStorage(server.url(host, is_trusted=is_trusted), "better-auth:")
    with pytest.raises(Unavailable):
        await storage.get("key")
    await storage.close()
