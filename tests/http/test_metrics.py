"""Metrics of requests and of rate limits."""

import httpx
from fastapi import FastAPI
from prometheus_client import REGISTRY

from tests.http.api import ONE_TASK, TASKS
from tests.http.client import send_json, shared_secret_token
from tests.http.credentials import bearer
from tests.http.metrics import cached_series, durations, requests_counted, series
from tests.waiting import eventually_async


async def test_pending_requests_are_counted_after_a_while(ann: httpx.AsyncClient) -> None:
    """Without an explicit `flush()`."""
    labels = {"method": "GET", "route": TASKS, "status": "200"}
    before = requests_counted("GET", TASKS, 200)
    await ann.get(TASKS)
    name = "http_requests_total"
    await eventually_async(lambda: REGISTRY.get_sample_value(name, labels) == before + 1)


async def test_each_request_is_counted_once(app: FastAPI, ann: httpx.AsyncClient) -> None:
    def counts() -> list[float]:
        return [
            requests_counted("GET", ONE_TASK, 404),
            durations("GET", ONE_TASK),
            requests_counted("HEAD", ONE_TASK, 404),
        ]

    before = counts()
    await ann.get(f"{TASKS}/1")
    await ann.get(f"{TASKS}/2")
    await ann.head(f"{TASKS}/3")
    assert [new - old for new, old in zip(counts(), before, strict=True)] == [2, 2, 1]


async def test_client_input_adds_no_time_series(app: FastAPI) -> None:
    """Ids, paths, methods and header values. `tests/processes` does it ten thousand times."""

    async def all_kinds(name: str) -> None:
        await send_json(app, "GET", f"{TASKS}/{name}")
        await send_json(app, "GET", f"/{name}", [("User-Agent", name)])
        await send_json(app, f"X{name}", TASKS)
        await send_json(app, f"X{name}", f"/{name}")
        await send_json(app, "DELETE", f"/api/users/me/sessions/{name}", [("Cookie", f"a={name}")])
        await send_json(app, "GET", f"/docs/{name}", [("X-Request-ID", name)])

    await send_json(app, "GET", f"{TASKS}/1", bearer(shared_secret_token()))
    await all_kinds("0")
    before, cached = series(), cached_series()
    for number in range(1, 50):
        await all_kinds(str(number))
    assert series() == before
    assert cached_series() == cached, "the cache of time series grows"
