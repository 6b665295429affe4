"""CORS: preflights, and the responses that pages of other origins can read."""

import httpx
import pytest

from adapters.asgi.cors import EXPOSED_HEADERS
from tests.http.api import TASKS
from tests.http.client import ORIGIN

HOSTILE = [
    "http://evil.example",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://evil-localhost:3000",
    "null",
]


def preflight(origin: str, method: str = "PUT", headers: str = "") -> dict[str, str]:
    required = {"Origin": origin, "Access-Control-Request-Method": method}
    return required | ({"Access-Control-Request-Headers": headers} if headers else {})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_preflight_of_the_front_end(anonymous: httpx.AsyncClient, method: str) -> None:
    request_headers = (
        "authorization, content-type, if-match, if-none-match, idempotency-key, x-request-id"
    )
    response = await anonymous.options(TASKS, headers=preflight(ORIGIN, method, request_headers))
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ORIGIN
    assert response.headers["access-control-allow-credentials"] == "true"
    assert method in response.headers["access-control-allow-methods"]
    assert int(response.headers["access-control-max-age"]) <= 600
    assert "Origin" in response.headers["vary"]


@pytest.mark.parametrize("origin", HOSTILE)
async def test_preflight_of_another_origin_is_rejected(
    anonymous: httpx.AsyncClient, origin: str
) -> None:
    response = await anonymous.options(TASKS, headers=preflight(origin))
    assert response.status_code == 403
    assert response.json()["error_code"] == "FORBIDDEN"
    assert "access-control-allow-origin" not in response.headers


async def test_preflight_for_unknown_methods_and_headers_is_rejected(
    anonymous: httpx.AsyncClient,
) -> None:
    for headers in (preflight(ORIGIN, "TRACE"), preflight(ORIGIN, "PUT", "x-evil")):
        assert (await anonymous.options(TASKS, headers=headers)).status_code == 403


async def test_front_end_can_read_responses_and_errors(
    ann: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for client in (ann, anonymous):
        response = await client.get(TASKS, headers={"Origin": ORIGIN})
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert response.headers["access-control-allow-credentials"] == "true"
        exposed = response.headers["access-control-expose-headers"].split(", ")
        assert tuple(exposed) == EXPOSED_HEADERS


@pytest.mark.parametrize("origin", HOSTILE)
async def test_other_origins_can_read_nothing(ann: httpx.AsyncClient, origin: str) -> None:
    response = await ann.get(TASKS, headers={"Origin": origin})
    assert "access-control-allow-origin" not in response.headers
    assert "Origin" in response.headers["vary"]


async def test_every_response_has_security_headers(
    ann: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for response in (
        await ann.get(TASKS),
        await anonymous.get(TASKS),
        await anonymous.get("/nowhere"),
        await anonymous.get("/health"),
        await anonymous.delete(TASKS),
        await anonymous.options(TASKS, headers=preflight(ORIGIN)),
    ):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["x-request-id"]
        assert "server" not in response.headers
