"""Client addresses behind proxies: which one counts, and forged ones."""

from typing import Any, Final

import httpx
import pytest

from adapters.asgi.client_address import ForwardedFor
from tests.conftest import LogEvents
from tests.http.api import LOG_IN, LOGIN, TASKS, WRONG_LOGIN
from tests.http.backend import build_backend
from tests.http.limited import (
    ATTACKER,
    CAFE,
    HOME,
    client_at,
    get_statuses,
    limited_backend,
    log_in,
    remaining,
)
from tests.http.rows import add_user

FORGED_ADDRESSES: Final = (
    "1.2.3.4",
    "127.0.0.1",
    HOME,
    "::1",
    "2001:db8::7",
    "",
    " ",
    ",",
    ",,,,",
    "unknown",
    "1.2.3.4:80",
    "[2001:db8::1]:80",
    "[",
    "::ffff:1.2.3.4",
    "a, b, 1.2.3.4, ::",
    "for=1.2.3.4",
    "ä\xff",
    "1.2.3.4\t",
    "9" * 10_000,
    "1.2.3.4," * 1_250,
)


PROXIES: Final = {0: (), 1: (ATTACKER,), 2: (ATTACKER, "10.0.0.2")}
"""The addresses that the proxies append: each that of its own peer."""


@pytest.mark.parametrize("proxies", PROXIES)
async def test_forged_addresses_do_not_evade_the_request_limit(proxies: int) -> None:
    """Three requests in all, whatever the header says, and no other address is charged."""
    backend = limited_backend(
        rate_limit="3/minute", auth_rate_limit="2/5minutes", trusted_proxies=proxies
    )
    app = backend.app
    add_user(backend.store)
    peer = "10.0.0.1" if proxies else ATTACKER

    def forging_client(forged: str) -> httpx.AsyncClient:
        client = client_at(app, peer)
        value = ", ".join((forged, *PROXIES[proxies])).encode("latin-1")
        client.headers = httpx.Headers([(b"X-Forwarded-For", value)])
        return client

    for number, forged in enumerate(FORGED_ADDRESSES):
        response = await forging_client(forged).get(TASKS)
        assert response.status_code == (401 if number < 3 else 429), forged[:50]
    # The limits of the forged addresses are unused.
    for address in (HOME, "1.2.3.4"):
        honest = ", ".join((address, *PROXIES[proxies][1:]))
        client = (
            client_at(app, peer, X_Forwarded_For=honest) if proxies else client_at(app, address)
        )
        assert await remaining(client) == 2


@pytest.mark.parametrize("proxies", PROXIES)
async def test_forged_addresses_do_not_evade_the_sign_in_limit(proxies: int) -> None:
    backend = limited_backend(auth_rate_limit="2/5minutes", trusted_proxies=proxies)
    app = backend.app
    add_user(backend.store)
    peer = "10.0.0.1" if proxies else ATTACKER
    statuses = [
        await log_in(
            app,
            WRONG_LOGIN,
            peer,
            X_Forwarded_For=", ".join((f"198.51.100.{n}", *PROXIES[proxies])),
        )
        for n in range(10)
    ]
    assert statuses == [401] * 2 + [429] * 8


async def test_clients_behind_a_proxy_count_apart() -> None:
    app = limited_backend(rate_limit="3/minute", trusted_proxies=1).app
    for address in (HOME, CAFE):
        assert await get_statuses(client_at(app, "10.0.0.1", X_Forwarded_For=address), 4) == [
            *(401, 401, 401, 429)
        ]


@pytest.mark.parametrize(
    "addresses",
    [
        (CAFE, f"{CAFE}:4711", f"{CAFE}:1", f"::ffff:{CAFE}", f"[::ffff:{CAFE}]:80"),
        ("2001:db8::1", "[2001:db8::2]:4711", "[2001:db8::3]", "2001:db8:0:0:ffff:ffff:ffff:ffff"),
    ],
)
async def test_formats_of_one_address_count_together(addresses: tuple[str, ...]) -> None:
    app = limited_backend(rate_limit="3/minute", trusted_proxies=1).app
    statuses = [
        (await client_at(app, "10.0.0.1", X_Forwarded_For=f" {address} ").get(TASKS)).status_code
        for address in addresses
    ]
    assert statuses == [401] * 3 + [429] * (len(addresses) - 3)


async def test_addresses_of_one_ipv6_network_count_together() -> None:
    app = limited_backend(rate_limit="3/minute").app
    statuses = [await get_statuses(client_at(app, f"2001:db8:0:1:{n}::1"), 1) for n in range(5)]
    assert statuses == [[401]] * 3 + [[429]] * 2
    assert await remaining(client_at(app, "2001:db8:0:2::1")) == 2


async def test_clients_without_an_address_count_together() -> None:
    """As over a Unix domain socket."""
    app = limited_backend(rate_limit="3/minute").app
    assert await get_statuses(client_at(app, None), 4) == [401, 401, 401, 429]


@pytest.mark.parametrize(
    ("proxies", "lines", "client"),
    [
        (1, ["1.1.1.1"], "1.1.1.1"),
        (1, ["2.2.2.2, 1.1.1.1"], "1.1.1.1"),
        (1, ["2.2.2.2", "1.1.1.1"], "1.1.1.1"),
        (1, ["1.1.1.1:80"], "1.1.1.1"),
        (1, ["[2001:db8::1]:80"], "2001:db8::1"),
        (1, ["2001:DB8::1"], "2001:db8::1"),
        (2, ["3.3.3.3, 1.1.1.1, 2.2.2.2"], "1.1.1.1"),
        (2, ["3.3.3.3", "1.1.1.1", "2.2.2.2"], "1.1.1.1"),
        (3, ["9.9.9.9, 1.1.1.1, 2.2.2.2, 3.3.3.3"], "1.1.1.1"),
        # The peer counts if the header is too short or malformed.
        (1, [], HOME),
        (2, ["1.1.1.1"], HOME),
        (3, ["1.1.1.1, 2.2.2.2"], HOME),
        (1, [""], HOME),
        (1, ["1.1.1.1, "], HOME),
        (1, ["1.1.1.1, unknown"], HOME),
        (1, ["1.1.1.1, 999.1.1.1"], HOME),
        (0, ["1.1.1.1"], HOME),
        (0, [], HOME),
    ],
)
def test_client_address_of_a_header(proxies: int, lines: list[str], client: str) -> None:
    """Without a peer there is no address."""
    forwarded = [line.encode() for line in lines]
    addresses = ForwardedFor(proxies)
    assert addresses(forwarded, HOME) == client
    if client == HOME:
        assert addresses(forwarded, None) is None


async def test_untrusted_proxy_is_logged_once(log_events: LogEvents) -> None:
    def warnings() -> list[Any]:
        return [line for line in log_events if line["event"] == "proxy_not_trusted"]

    # A new application, which has not logged the warning yet.
    untrusting = build_backend().app
    await client_at(untrusting).get(TASKS)
    assert warnings() == []
    for _ in range(5):
        await client_at(untrusting, X_Forwarded_For="1.2.3.4").get("/livez")
    [line] = warnings()
    assert "TRUSTED_PROXIES" in line["hint"]
    await client_at(limited_backend(trusted_proxies=1).app, X_Forwarded_For="1.2.3.4").get(TASKS)
    assert len(warnings()) == 1


async def test_session_has_the_address_behind_the_proxy() -> None:
    backend = limited_backend(trusted_proxies=1)
    app = backend.app
    add_user(backend.store)
    forged = f"10.0.0.1, {CAFE}"
    response = await client_at(app, HOME, X_Forwarded_For=forged).post(LOG_IN, json=LOGIN)
    [session] = backend.store.sessions.values()
    assert response.json()["session"]["ip_address"] == session.ip_address == CAFE


async def test_session_ignores_a_forged_header() -> None:
    backend = limited_backend()
    app = backend.app
    add_user(backend.store)
    response = await client_at(app, HOME, X_Forwarded_For=CAFE).post(LOG_IN, json=LOGIN)
    assert response.json()["session"]["ip_address"] == HOME
