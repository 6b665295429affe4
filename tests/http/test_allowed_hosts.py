"""`ALLOWED_HOSTS`, and `Strict-Transport-Security`."""

from typing import Final

import pytest
from fastapi import FastAPI

from adapters.asgi.request_record import PROBE_PATHS
from tests.conftest import LogEvents
from tests.http.api import TASKS
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, problem_of, send_request

LONG_HOST: Final = "a" * 5_000 + ".example.org"
ALLOWED_HOSTS: Final = [
    *("api.example.com", "API.Example.COM", "api.example.com:443", "api.example.com:8000"),
    *("api.example.com:", "localhost", "localhost:8000", "[::1]", "[::1]:8000"),
    *("a.example.org", "a.b.example.org", "A.EXAMPLE.ORG:80"),
]
REJECTED_HOSTS: Final = [
    *("", " ", "example.com", "evil.com", "api.example.com.", "api.example.com..", ".example.org"),
    *("example.org", "evilexample.org", "a.example.org.", "a.example.org.evil.com", "*"),
    *("api.example.com.evil.com", "evil-api.example.com", "api.example.com evil.com"),
    *("evil.com#", "evil.com#api.example.com", "evil.com#.example.org", "evil.com/.example.org"),
    *("evil.com?.example.org", "evil.com\\.example.org", "evil.com@api.example.com"),
    *("evil.com:80@a.example.org", "user@api.example.com", "user:x@a.example.org"),
    *("api.example.com@evil.com", "api.example.com:80@evil.com", "api.example.com:@evil.com"),
    *("api.example.com:80:80", "api.example.com:http", "api.example.com:-1", "api.example.com:8 0"),
    *("::1", "[::1", "::1]", "[::2]", "[::1].evil.com", "[::1]evil", "[::1]:x", "[0:0::1]"),
    *(
        "localhost.evil.com",
        "127.0.0.1",
        "localhost\t",
        "a.example.org,evil.com",
        "http://localhost",
    ),
    *("api.example.com\u0000", "\u00e4.example.org", "<script>.example.org", f" {'localhost'}"),
]


@pytest.fixture(scope="module")
def restricted_app() -> FastAPI:
    """An application with `ALLOWED_HOSTS`, behind HTTPS."""
    return build_backend(
        better_auth_url="https://app.example.com",
        cors_origins=ORIGIN,
        allowed_hosts="api.example.com, *.example.org, [::1], localhost",
    ).app


async def test_allowed_hosts(restricted_app: FastAPI) -> None:
    for host in (*ALLOWED_HOSTS, LONG_HOST):
        response = await send_request(
            restricted_app, "GET", "/health", [("Origin", ORIGIN)], host=host
        )
        assert response.status_code == 200, host


async def test_probes_are_exempt_from_allowed_hosts(
    restricted_app: FastAPI, log_events: LogEvents
) -> None:
    """Kubernetes and Prometheus call by address. Other requests log one warning."""
    for path in sorted(PROBE_PATHS):
        response = await send_request(restricted_app, "GET", path, host="10.0.0.7:8000")
        assert response.status_code == 200, path
    for _ in range(2):
        await send_request(restricted_app, "GET", "/docs", host="10.0.0.7:8000")
    assert len([line for line in log_events if line["event"] == "host_not_allowed"]) <= 1


async def test_other_hosts_are_rejected(restricted_app: FastAPI) -> None:
    """On every path; pages of the front end can read the error."""
    for host in (*REJECTED_HOSTS, None):
        for method, path in (
            ("GET", "/docs"),
            ("POST", TASKS),
            ("GET", "/nowhere"),
            ("TRACE", "/"),
        ):
            response = await send_request(
                restricted_app, method, path, [("Origin", ORIGIN)], host=host
            )
            assert response.status_code == 400, host
            assert problem_of(response)["error_code"] == "MALFORMED_REQUEST"
            assert response.headers["connection"] == "close"
            assert response.headers["access-control-allow-origin"] == ORIGIN
            assert "evil" not in response.text
    for hosts in (("localhost", "localhost"), ("localhost", "evil.com"), ("evil.com", "localhost")):
        for second in (hosts[1], f"{hosts[1]}:80", ""):
            response = await send_request(
                restricted_app,
                "GET",
                "/docs",
                [("Host", second), ("Origin", ORIGIN)],
                host=hosts[0],
            )
            assert response.status_code == 400
            assert problem_of(response)["error_code"] == "MALFORMED_REQUEST"
    forwarded = [("X-Forwarded-Host", "localhost"), ("Forwarded", "host=localhost")]
    response = await send_request(restricted_app, "GET", "/docs", forwarded, host="evil.com")
    assert response.status_code == 400


async def test_strict_transport_security(restricted_app: FastAPI, app: FastAPI) -> None:
    """For a year, errors included, but only if Better Auth's URL is https."""
    for path, host in (
        ("/docs", "localhost"),
        ("/nowhere", "localhost"),
        ("/docs", "evil.com"),
    ):
        response = await send_request(restricted_app, "GET", path, host=host)
        [policy] = response.headers.get_list("strict-transport-security")
        rules = {part.strip().partition("=")[0] for part in policy.split(";")}
        assert "includeSubDomains" in rules
        assert int(policy.split("=")[1].split(";")[0]) >= 31_536_000
        response = await send_request(app, "GET", path, host=host)
        assert "strict-transport-security" not in response.headers
