"""Sessions that Better Auth is asked for, while it is away, slow, or responds with nonsense."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest

from adapters.better_auth import remote_sessions as module
from adapters.better_auth.remote_sessions import RemoteSessions
from domain.errors import Unavailable
from domain.sessions import Session
from domain.users import User
from tests import deadlines
from tests.better_auth.fake_server import FakeServer, fake_server
from tests.better_auth.provider import response
from tests.better_auth.session_texts import session_value, text_of, user_value
from tests.conftest import AdvanceTime, LogEvents
from tests.http.api import LOG_OUT, ME, SESSIONS, TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of
from tests.waiting import eventually_async

pytestmark = pytest.mark.slow

ORIGIN: Final = "http://localhost:3000"
NOW: Final = datetime.now(UTC)
ANN: Final = User.create(id="ann", email="ann@example.com", name="Ann", now=NOW)
SESSION: Final = Session.create(
    id="s", user_id="ann", token="secret-7c31", ip_address=None, user_agent=None, now=NOW
)
LINE: Final = f"Authorization: Bearer {SESSION.token}"
COOKIE: Final = f"Cookie: better-auth.session_token={SESSION.token}"
Headers = dict[str, str]
BEARER: Final[Headers] = {"Authorization": f"Bearer {SESSION.token}"}


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as server:
        server.put(SESSION, ANN)
        yield server


@pytest.fixture
async def remote(server: FakeServer) -> AsyncIterator[RemoteSessions]:
    with deadlines.lifted():
        remote = RemoteSessions(server.url, ORIGIN)
    yield remote
    await remote.close()


async def is_found(remote: RemoteSessions, line: str = LINE) -> bool:
    return await remote.find_by_token(line) is not None


async def settled() -> None:
    """Let all tasks run as far as they can without time passing."""
    for _ in range(300):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


# Faults, over the whole application.


@pytest.fixture
async def backend(
    server: FakeServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Backend]:
    """An application without a cache; its requests time out fast if the test asks for it."""
    timeout = getattr(request, "param", 3600.0)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", timeout)
    backend = build_backend(
        better_auth_sessions=server.url, better_auth_session_cache=0, better_auth_secret=None
    )
    async with backend.service.running():
        yield backend


async def get(backend: Backend, path: str = ME, headers: Headers = BEARER) -> httpx.Response:
    async with client_of(backend.app) as client:
        return await client.get(path, headers=headers)


async def is_unavailable(backend: Backend) -> bool:
    """Whether all that needs a session is refused, and can be tried again."""
    requests = (("GET", ME), ("GET", TASKS), ("GET", SESSIONS), ("POST", LOG_OUT))
    async with client_of(backend.app) as client:
        responses = [
            await client.request(method, path, headers=BEARER) for method, path in requests
        ]
    return not backend.store.users and all(
        response.status_code == 503 and int(response.headers["Retry-After"]) >= 1
        for response in responses
    )


def changed(part: str, **values: Any) -> bytes:
    pair: dict[str, Any] = {"session": session_value(SESSION), "user": user_value(ANN)}
    return response(json.dumps(pair | {part: pair[part] | values}).encode())


GOOD: Final = text_of(SESSION, ANN).encode()
FAULTS: Final = {
    "an error": response(GOOD, status="500 Internal Server Error"),
    "too many requests": response(GOOD, status="429 Too Many Requests"),
    "a redirect": response(GOOD, status="302 Found", Location="/api/auth/get-session"),
    "unauthorized": response(b"null", status="401 Unauthorized"),
    "not found": response(b"null", status="404 Not Found"),
    "no content": response(b"", status="204 No Content"),
    "partial": response(GOOD, status="206 Partial Content"),
    "html": response(b"<!doctype html><title>Sign in</title>", Content_Type="text/html"),
    "nothing": response(b""),
    "garbage": response(b"\x80garbage"),
    "compressed": response(gzip.compress(GOOD), Content_Encoding="gzip"),
    "a bomb": response(gzip.compress(GOOD.ljust(10_000_000)), Content_Encoding="gzip"),
    "too long": response(GOOD.ljust(262_145)),
    "ten megabytes": response(GOOD.ljust(10_000_000)),
    "no length": b"HTTP/1.1 200 OK\r\n\r\n" + GOOD.ljust(10_000_000),
    "closed in the middle": response(GOOD, length=99_999),
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "half of it": response(GOOD[:-9]),
    "too deep": response(b"[" * 100_000),
    "a list": response(b"[]"),
    "an empty object": response(b"{}"),
    "false": response(b"false"),
    "a number": response(b"1"),
    "a pair of nulls": response(b'{"session":null,"user":null}'),
    "the session alone": response(json.dumps({"session": session_value(SESSION)}).encode()),
    "a user in another place": response(json.dumps(user_value(ANN)).encode()),
    "another user": changed("user", id="bob"),
    "a session of another user": changed("session", userId="bob"),
    "no id": changed("session", id=None),
    "lone surrogates": changed("session", userId="\ud800", id="\ud800"),
    "no end": changed("session", expiresAt=None),
    "an end that is no time": changed("session", expiresAt="soon"),
    "an end without time zone": changed("session", expiresAt="2099-01-01T00:00:00"),
    "an endless end": changed("session", expiresAt=1e300),
    "no time of the user": changed("user", updatedAt=None),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_invalid_response(
    backend: Backend, server: FakeServer, log_events: LogEvents, fault: str
) -> None:
    """One request to Better Auth for each request, and the log quotes nothing."""
    server.fault = FAULTS[fault]
    assert await is_unavailable(backend)
    assert [each.endpoint for each in server.requests] == ["get-session"] * 4
    server.fault = None
    assert (await get(backend)).status_code == 200
    assert (await get(backend, SESSIONS)).status_code == 200
    logged = [event for event in log_events if event["event"] == "sessions_unavailable"]
    assert len(logged) == 1
    assert SESSION.token not in repr(log_events)
    assert ANN.email not in repr(logged)


@pytest.mark.parametrize("text", [b"null", changed("session", expiresAt="2020-01-01T00:00:00Z")])
async def test_no_session(backend: Backend, server: FakeServer, text: bytes) -> None:
    server.fault = text if text.startswith(b"HTTP") else response(text)
    assert (await get(backend)).status_code == 401
    assert not backend.store.users


async def test_user_without_valid_address(backend: Backend, server: FakeServer) -> None:
    server.fault = changed("user", email="ann")
    assert (await get(backend)).status_code == 401


async def test_closed_port(backend: Backend, server: FakeServer) -> None:
    assert (await get(backend)).status_code == 200
    backend.store.clear()
    await server.stop()
    assert await is_unavailable(backend)
    await server.start()
    assert (await get(backend)).status_code == 200


@pytest.mark.parametrize("backend", [0.2], indirect=True)
@pytest.mark.parametrize("fault", ["nothing is sent", "bytes are dripped"])
async def test_deadline(backend: Backend, server: FakeServer, fault: str) -> None:
    """Also if bytes arrive all the time."""
    if fault == "nothing is sent":
        server.gate.clear()
    else:
        server.drips = True
    assert await is_unavailable(backend)
    many = await asyncio.gather(*(get(backend) for _ in range(50)))
    assert {each.status_code for each in many} == {503}
    server.gate.set()
    server.drips = False
    await eventually_async(lambda: _is_ok(backend))


async def _is_ok(backend: Backend) -> bool:
    return (await get(backend)).status_code == 200


async def test_list_that_is_none(backend: Backend, server: FakeServer) -> None:
    """Better Auth lists, or ends, while the session itself is found."""
    for text in (b"null", b"{}", b"[1]", b"[null]", b'[{"id":"s"}]', b"<html>", b'"text"'):
        server.faults["list-sessions"] = response(text)
        for method, path in (("GET", SESSIONS), ("DELETE", f"{SESSIONS}/other")):
            async with client_of(backend.app) as client:
                assert (await client.request(method, path, headers=BEARER)).status_code == 503
    server.faults = {"sign-out": response(b"", status="500 Internal Server Error")}
    async with client_of(backend.app) as client:
        assert (await client.post(LOG_OUT, headers=BEARER)).status_code == 503


# The cache.


async def test_response_is_remembered(
    remote: RemoteSessions, server: FakeServer, advance_time: AdvanceTime
) -> None:
    """For `max_age` from before the request, also that there is no session."""
    for line, found in ((LINE, True), ("Authorization: Bearer other", False)):
        server.requests.clear()
        assert await is_found(remote, line) is found
        advance_time(4.5)
        assert await is_found(remote, line) is found
        assert len(server.requests) == 1
        advance_time(0.5)
        assert await is_found(remote, line) is found
        assert len(server.requests) == 2


async def test_slow_response_is_as_old_as_its_request(
    remote: RemoteSessions, server: FakeServer, advance_time: AdvanceTime
) -> None:
    server.gate.clear()
    asking = asyncio.create_task(is_found(remote))
    await until(lambda: server.requests)
    advance_time(4)
    server.gate.set()
    assert await asking
    del server.sessions[SESSION.token]
    assert await is_found(remote)
    advance_time(1)
    assert not await is_found(remote)


async def test_old_request_is_not_shared(
    remote: RemoteSessions, server: FakeServer, advance_time: AdvanceTime
) -> None:
    """Its response may be older than `max_age` for a caller that came later."""
    server.gate.clear()
    first = asyncio.create_task(is_found(remote))
    await until(lambda: server.requests)
    del server.sessions[SESSION.token]
    advance_time(5)
    early = asyncio.create_task(is_found(remote))
    await asyncio.sleep(0)
    advance_time(0.5)
    late = [asyncio.create_task(is_found(remote)) for _ in range(10)]
    await settled()
    server.gate.set()
    assert await first
    assert await early
    assert await asyncio.gather(*late) == [False] * 10
    assert len(server.requests) == 2


async def test_nothing_is_remembered_without_a_cache(server: FakeServer) -> None:
    remote = RemoteSessions(server.url, ORIGIN, max_age=0)
    for count in (1, 2):
        assert await is_found(remote)
        assert len(server.requests) == count
    await remote.close()


async def test_failure_is_not_remembered(remote: RemoteSessions, server: FakeServer) -> None:
    server.fault = response(b"", status="503 Service Unavailable")
    with pytest.raises(Unavailable):
        await is_found(remote)
    server.fault = None
    assert await is_found(remote)


async def test_each_outage_is_logged_once(server: FakeServer, log_events: LogEvents) -> None:
    remote = RemoteSessions(server.url, ORIGIN, max_age=0)
    for outages in (1, 2):
        server.fault = response(b"{}")
        for _ in range(3):
            with pytest.raises(Unavailable):
                await is_found(remote)
        server.fault = None
        assert await is_found(remote)
        assert [event["event"] for event in log_events] == ["sessions_unavailable"] * outages
    await remote.close()


async def test_stale_session_is_not_believed(
    remote: RemoteSessions, server: FakeServer, advance_time: AdvanceTime
) -> None:
    """While Better Auth is away."""
    assert await is_found(remote)
    await server.stop()
    assert await is_found(remote)
    advance_time(5)
    with pytest.raises(Unavailable):
        await is_found(remote)


async def test_sign_out_forgets_all_credentials_of_the_session(
    remote: RemoteSessions, server: FakeServer
) -> None:
    for line in (LINE, COOKIE):
        assert await is_found(remote, line)
    found = await remote.find_by_token(COOKIE)
    assert found is not None
    await remote.remove("s", "ann", caller=found[0])
    for line in (LINE, COOKIE):
        assert not await is_found(remote, line)


@pytest.mark.parametrize("is_lost", [False, True])
async def test_ended_session_is_forgotten(
    remote: RemoteSessions, server: FakeServer, is_lost: bool
) -> None:
    """Also if the response is lost; the response of a request under way is not remembered."""
    other = replace(SESSION, id="other", token="another")
    server.put(other, ANN)
    line = "Authorization: Bearer another"
    assert await is_found(remote)
    assert await is_found(remote, line)
    if is_lost:
        server.faults["revoke-session"] = b"HTTP/1.1 200"
    remove = remote.remove("other", "ann", caller=replace(SESSION, token=LINE))
    if is_lost:
        with pytest.raises(Unavailable):
            await remove
        del server.sessions["another"]
    else:
        await remove
    assert not await is_found(remote, line)
    assert await is_found(remote)


@pytest.mark.parametrize("is_asked_again", [False, True])
async def test_request_under_way_is_forgotten(
    remote: RemoteSessions, server: FakeServer, is_asked_again: bool
) -> None:
    """Its response says that the session is valid, and comes after the session has ended."""
    server.gate.clear()
    before = asyncio.create_task(is_found(remote))
    await until(lambda: server.requests)
    server.ungated.add("sign-out")
    await remote.remove("s", "ann", caller=replace(SESSION, token=LINE))
    after = [asyncio.create_task(is_found(remote))] if is_asked_again else []
    await settled()
    server.gate.set()
    assert await before
    assert not any(await asyncio.gather(*after))
    assert not await is_found(remote)


# Requests that are shared.


async def test_concurrent_callers_share_one_request(
    remote: RemoteSessions, server: FakeServer
) -> None:
    found = await asyncio.gather(*(remote.find_by_token(LINE) for _ in range(50)))
    assert len(server.requests) == 1
    # Each has a copy of its own.
    assert len({id(pair[0]) for pair in found if pair is not None}) == 50


async def test_cancelled_callers_do_not_cancel_others(
    remote: RemoteSessions, server: FakeServer
) -> None:
    server.gate.clear()
    callers = [asyncio.create_task(is_found(remote)) for _ in range(4)]
    await until(lambda: server.requests)
    for caller in callers[:3]:
        caller.cancel()
    await asyncio.wait(callers[:3])
    server.gate.set()
    assert await callers[3]
    assert len(server.requests) == 1


async def test_request_of_cancelled_callers_is_used(
    remote: RemoteSessions, server: FakeServer
) -> None:
    """Its failure is no unretrieved exception."""
    for fault in (response(b"", status="500 Internal Server Error"), None):
        server.requests.clear()
        server.fault = fault
        server.gate.clear()
        caller = asyncio.create_task(is_found(remote))
        await until(lambda: server.requests)
        caller.cancel()
        await asyncio.wait([caller])
        server.gate.set()
        await settled()
    assert await is_found(remote)
    assert len(server.requests) == 1


async def test_requests_under_way_are_bounded(
    remote: RemoteSessions, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_PENDING", 2)
    server.gate.clear()
    lines = [f"{LINE}{n}" for n in range(2)]
    callers = [asyncio.create_task(is_found(remote, line)) for line in (*lines, lines[0])]
    await until(lambda: len(server.requests) == 2)
    with pytest.raises(Unavailable):
        await is_found(remote)
    server.gate.set()
    assert await asyncio.gather(*callers) == [False] * 3
    assert await is_found(remote)


async def test_callers_get_unavailable_at_the_end(
    remote: RemoteSessions, server: FakeServer
) -> None:
    server.gate.clear()
    callers = [asyncio.create_task(is_found(remote)) for _ in range(3)]
    await until(lambda: server.requests)
    await remote.close()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}


# Requests to Better Auth.


async def test_requests_as_better_auth_expects_them(
    remote: RemoteSessions, server: FakeServer
) -> None:
    """Task requests neither prolong a session nor believe a cookie cache."""
    found = await remote.find_by_token(COOKIE)
    assert found is not None
    await remote.list("ann", now=NOW, caller=found[0])
    other = replace(SESSION, id="other", token="another")
    server.put(other, ANN)
    await remote.remove("other", "ann", caller=found[0])
    await remote.remove("s", "ann", caller=found[0])
    first, *_ = server.requests
    assert first.path == "/api/auth/get-session?disableRefresh=true&disableCookieCache=true"
    for each in server.requests:
        assert each.headers["cookie"] == COOKIE.removeprefix("Cookie: ")
        assert each.headers["accept-encoding"] == "identity"
        assert "authorization" not in each.headers
        assert each.headers.get("origin") == (None if each.method == "GET" else ORIGIN)
    assert [(each.method, each.endpoint, each.body) for each in server.requests[1:]] == [
        ("GET", "list-sessions", b""),
        ("GET", "list-sessions", b""),
        ("POST", "revoke-session", b'{"token": "another"}'),
        ("POST", "sign-out", b"{}"),
    ]


async def test_cookies_of_a_response_are_not_sent_with_the_next(
    remote: RemoteSessions, server: FakeServer
) -> None:
    server.fault = response(GOOD, Set_Cookie="better-auth.session_token=of-ann; Path=/")
    assert await is_found(remote)
    assert await is_found(remote, f"{LINE}x")
    assert all("cookie" not in each.headers for each in server.requests)


async def test_session_in_an_encrypted_cookie_is_asked_for_again(
    remote: RemoteSessions, server: FakeServer
) -> None:
    """Only for a JWE, which a Better Auth without a database has: a signed cookie cache is older
    than the end of its session."""
    jwe = f"{COOKIE}-; better-auth.session_data=eyJhbGciOiJkaXIi..aXY.Y2lwaGVy.dGFn"
    signed = f"{COOKIE}-; better-auth.session_data=eyJ.eyJz.c2ln"
    for line, count in ((jwe, 2), (signed, 1)):
        server.requests.clear()
        assert not await is_found(remote, line)
        paths = [each.path for each in server.requests]
        assert len(paths) == count
        assert "disableCookieCache=true" in paths[0]
        assert "disableCookieCache" not in "".join(paths[1:])
