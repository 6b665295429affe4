"""Origins of browsers and of applications: both sides trust the same ones."""

import json
import subprocess
from collections.abc import AsyncIterator
from itertools import product
from typing import Final

import pytest

from entrypoints.origins import origin
from tests.interop.better_auth import VERSIONS_OF_OPTIONS, cookie_of
from tests.interop.nodejs import node
from tests.interop.sides import Sides, bearer, both_sides
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

HOSTS: Final = (
    "localhost",
    "App.Example.COM",
    "app.example.com.",
    "münchen.example",
    "MÜNCHEN.Example",
    "mu\u0308nchen.example",
    "faß.example",
    "例え。jp",
    "ＡＢＣ.example",
    "☕.example",
    "a_b.example",
    "xn--mnchen-3ya.example",
    "a\u00adb.example",
    "127.0.0.1",
    "127.1",
    "0x7f.1",
    "1.2.3.4.5",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[2001:DB8:0:0:1::1]",
    "a%62.example",
    "a b.example",
    "a..example",
    "\u202e.example",
)
PORTS: Final = ("", ":", ":80", ":443", ":0443", ":3000", ":0", ":65536", ":x")
REST: Final = ("", "/", "/a/b?c#d", "#x")
#: Reads a list of URLs, and prints their origins; null if a URL is not valid.
ORIGINS: Final = """
    const origin = (url) => { try { return new URL(url).origin } catch { return null } };
    process.stdin.on("data", (text) => console.log(JSON.stringify(JSON.parse(text).map(origin))));
"""
BASE: Final = "https://münchen.example"
#: What a browser sends as `Origin` for pages of `BASE`.
PAGE: Final = "https://xn--mnchen-3ya.example"
TRUSTED: Final = (
    "https://xn--bcher-kva.example",
    "capacitor://localhost",
    "tauri://localhost",
    "exp://192.168.0.1:8081",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
)
UNTRUSTED: Final = (
    "null",
    "https://bcher.example",
    "https://münchen.example.evil.example".encode("idna").decode(),
    "capacitor://evil",
    "tauri://localhost.evil.example",
    "exp://192.168.0.2:8081",
    "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba",
    "file://",
)


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def international(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Better Auth under an international domain name, and with applications as origins."""
    async with both_sides(
        postgres_18_server,
        request.param,
        base_url=BASE,
        trusted_origins=",".join(TRUSTED),
        ours={"cors_origins": ",".join(("https://Bücher.example:443/", *TRUSTED[1:]))},
    ) as sides:
        yield sides


def test_origins_are_those_of_the_url_standard() -> None:
    """Every URL that is accepted has the origin that a browser sends. Of URLs that a browser
    accepts, those whose hosts have another form than their origin may be rejected."""
    urls = [
        f"{scheme}://{host}{port}{rest}"
        for scheme, host, port, rest in product(("http", "HTTPS"), HOSTS, PORTS, REST)
    ]
    finished = subprocess.run(
        [node(), "-e", ORIGINS],
        input=json.dumps(urls),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    rejected = set()
    for url, expected in zip(urls, json.loads(finished.stdout), strict=True):
        try:
            assert origin(url) == expected, url
        except ValueError:
            if expected is not None:
                rejected.add(url.partition("://")[2].partition("/")[0].partition("#")[0])
    hosts = {host.partition(":")[0] for host in rejected}
    assert hosts == {"127.1", "0x7f.1", "a%62.example", "a..example"}


@pytest.mark.parametrize("page", [PAGE, *TRUSTED])
async def test_trusted_origins(international: Sides, email: str, page: str) -> None:
    sides, headers = international, {"Origin": page}
    signed_up = await sides.taskport.request(
        "POST", "/auth/signup", headers, json={"email": email, "password": "correct horse"}
    )
    assert signed_up.status_code == 201, signed_up.text
    cookie = cookie_of(signed_up)
    created = await sides.taskport.request(
        "POST", "/tasks", {**cookie, **headers}, json={"title": "x"}
    )
    assert created.status_code == 201
    assert (created.headers.get("access-control-allow-origin") == page) is (page != PAGE)
    signed_out = sides.better_auth.request("POST", "/sign-out", {**cookie, **headers}, json={})
    assert signed_out.json() == {"success": True}


@pytest.mark.parametrize("page", UNTRUSTED)
async def test_untrusted_origins(international: Sides, email: str, page: str) -> None:
    sides, headers = international, {"Origin": page}
    cookie = cookie_of(
        sides.better_auth.request(
            "POST",
            "/sign-up/email",
            {"Origin": PAGE},
            json={"email": email, "password": "correct horse", "name": "Ada"},
        )
    )
    refused = await sides.taskport.request("POST", "/tasks", {**cookie, **headers}, json={})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "CROSS_SITE_REQUEST")
    assert "access-control-allow-origin" not in refused.headers
    theirs = sides.better_auth.request("POST", "/sign-out", {**cookie, **headers}, json={})
    # 1.6.30 compares only the beginning of an application's origin.
    assert theirs.status_code == 403 or page == "tauri://localhost.evil.example"


async def test_jwt_of_an_international_domain(international: Sides, email: str) -> None:
    """Its issuer is the origin in Punycode."""
    signed_up = international.better_auth.request(
        "POST",
        "/sign-up/email",
        {"Origin": PAGE},
        json={"email": email, "password": "correct horse", "name": "Ada"},
    )
    token = international.better_auth.token(cookie_of(signed_up)).json()["token"]
    for taskport in (international.taskport, international.separate):
        assert (await taskport.me(bearer(token))).json()["email"] == email
