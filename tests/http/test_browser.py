"""What a browser of another origin may do, and what holds it back."""

import httpx
import pytest

from adapters.asgi.cors import EXPOSED_HEADERS
from tests.http.client import ORIGIN

PATH = "/api/tasks"
HOSTILE = [
    "http://evil.example",
    "http://localhost:3001",
    "https://localhost:3000",
    "http://localhost:3000.evil.example",
    "http://evil-localhost:3000",
    "null",
]


def preflight(origin: str, method: str = "PUT", headers: str = "") -> dict[str, str]:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return asked | ({"Access-Control-Request-Headers": headers} if headers else {})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_preflight_of_the_front_end(nobody: httpx.AsyncClient, method: str) -> None:
    wanted = "authorization, content-type, if-match, if-none-match, idempotency-key, x-request-id"
    answer = await nobody.options(PATH, headers=preflight(ORIGIN, method, wanted))
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert answer.headers["access-control-allow-credentials"] == "true"
    assert method in answer.headers["access-control-allow-methods"]
    assert int(answer.headers["access-control-max-age"]) <= 600
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", HOSTILE)
async def test_a_preflight_of_another_origin(nobody: httpx.AsyncClient, origin: str) -> None:
    answer = await nobody.options(PATH, headers=preflight(origin))
    assert answer.status_code == 403
    assert answer.json()["error_code"] == "FORBIDDEN"
    assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_for_too_much(nobody: httpx.AsyncClient) -> None:
    for asked in (preflight(ORIGIN, "TRACE"), preflight(ORIGIN, "PUT", "x-evil")):
        assert (await nobody.options(PATH, headers=asked)).status_code == 403


async def test_the_front_end_may_read_answers_and_errors(
    ann: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    for client in (ann, nobody):
        answer = await client.get(PATH, headers={"Origin": ORIGIN})
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["access-control-allow-credentials"] == "true"
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert tuple(exposed) == EXPOSED_HEADERS


@pytest.mark.parametrize("origin", HOSTILE)
async def test_another_origin_may_read_nothing(ann: httpx.AsyncClient, origin: str) -> None:
    answer = await ann.get(PATH, headers={"Origin": origin})
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]


async def test_every_answer_holds_a_browser_back(
    ann: httpx.AsyncClient, nobody: httpx.AsyncClient
) -> None:
    for answer in (
        await ann.get(PATH),
        await nobody.get(PATH),
        await nobody.get("/nowhere"),
        await nobody.get("/health"),
        await nobody.delete(PATH),
        await nobody.options(PATH, headers=preflight(ORIGIN)),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-request-id"]
        assert "server" not in answer.headers
