"""Sessions in Redis while it is killed, frozen, slow or locked, or has values that are none."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest

from adapters.postgres_server.loopback import free_port
from adapters.redis import secondary_storage as module
from domain.sessions import Session
from domain.users import User
from tests import deadlines
from tests.better_auth.session_texts import dumped, milliseconds, session_value, user_value
from tests.conftest import LogEvents
from tests.contracts.session_modes import put_into_redis
from tests.http.api import LOG_OUT, ME, SESSIONS, TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import client_of
from tests.http.rows import add_session, add_user
from tests.redis_server import RedisServer, redis

pytestmark = [pytest.mark.debian, pytest.mark.process]

#: Of a command while a test has made Redis not respond.
_SHORT: Final = 0.2
_PREFIX: Final = "better-auth:"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis() as server:
        yield server


@pytest.fixture(scope="module")
async def backend(server: RedisServer) -> AsyncIterator[Backend]:
    with deadlines.lifted():
        backend = build_backend(better_auth_sessions=server.url)
        async with backend.service.running():
            yield backend


@pytest.fixture
def user(backend: Backend) -> User:
    backend.store.clear()
    return add_user(backend.store)


@pytest.fixture
def session(backend: Backend, user: User, server: RedisServer) -> Session:
    """A session in Redis. The user is introduced by its first request."""
    session = add_session(backend.store)
    backend.store.clear()
    server.ask("FLUSHALL")
    put_into_redis(server, session, user, _PREFIX)
    return session


async def get(backend: Backend, token: str, path: str = ME) -> httpx.Response:
    async with client_of(backend.app) as client:
        return await client.get(path, headers={"Authorization": f"Bearer {token}"})


async def is_unavailable(backend: Backend, session: Session) -> bool:
    """Whether all that needs a session is refused, and can be tried again."""
    headers = {"Authorization": f"Bearer {session.token}"}
    async with client_of(backend.app) as client:
        responses = [
            await client.request(method, path, headers=headers)
            for method, path in (
                *(("GET", ME), ("GET", TASKS), ("GET", SESSIONS)),
                ("DELETE", f"{SESSIONS}/{session.id}"),
                ("POST", LOG_OUT),
            )
        ]
    return all(
        response.status_code == 503 and int(response.headers["Retry-After"]) >= 1
        for response in responses
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", _SHORT)


async def test_killed_redis(
    backend: Backend, session: Session, user: User, server: RedisServer, log_events: LogEvents
) -> None:
    assert (await get(backend, session.token)).status_code == 200
    server.stop()
    try:
        assert await is_unavailable(backend, session)
    finally:
        server.start()
    # It is empty now, so the session has ended.
    assert (await get(backend, session.token)).status_code == 401
    put_into_redis(server, session, user, _PREFIX)
    assert (await get(backend, session.token)).status_code == 200
    events = [event for event in log_events if event["event"] == "session_storage_unavailable"]
    assert [event["error"] for event in events] == ["ConnectionError"]


async def test_frozen_redis(
    backend: Backend, session: Session, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for callers that wait for a connection."""
    assert (await get(backend, session.token)).status_code == 200
    server.pause()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(module, "TIMEOUT_SECONDS", _SHORT)
            assert await is_unavailable(backend, session)
            many = await asyncio.gather(*(get(backend, session.token) for _ in range(100)))
            assert {response.status_code for response in many} == {503}
    finally:
        server.resume()
    many = await asyncio.gather(*(get(backend, session.token) for _ in range(100)))
    assert {response.status_code for response in many} == {200}


async def test_wrong_password(
    session: Session, user: User, server: RedisServer, log_events: LogEvents
) -> None:
    """The password is in no log."""
    server.ask("CONFIG", "SET", "requirepass", "right")
    try:
        for credentials in (":wrong-9f1c@", "nobody:wrong-9f1c@", ""):
            url = server.url.replace("//", f"//{credentials}")
            backend = build_backend(better_auth_sessions=url)
            async with backend.service.running():
                assert await is_unavailable(backend, session)
            assert credentials not in repr(backend.service) or not credentials
        url = server.url.replace("//", "//:right@")
        backend = build_backend(better_auth_sessions=url)
        async with backend.service.running():
            assert (await get(backend, session.token)).status_code == 200
    finally:
        server.ask("CONFIG", "SET", "requirepass", "", password="right")
    assert "wrong-9f1c" not in repr(log_events)


async def test_value_that_is_no_text(
    backend: Backend, session: Session, server: RedisServer
) -> None:
    """A list: of the session, and of the time before which all sessions have ended."""
    revoked = f"{_PREFIX}revoked-sessions-before-ann"
    server.ask("LPUSH", revoked, "0")
    assert (await get(backend, session.token)).status_code == 503
    server.ask("DEL", revoked)
    assert (await get(backend, session.token)).status_code == 200
    server.ask("DEL", f"{_PREFIX}{session.token}")
    server.ask("LPUSH", f"{_PREFIX}{session.token}", "a")
    assert (await get(backend, session.token)).status_code == 503


def nonsense(session: Session, user: User) -> Iterator[tuple[str, str]]:
    """Texts that are no session with this token."""
    pair: dict[str, Any] = {"session": session_value(session), "user": user_value(user)}

    def changed(part: str, **values: Any) -> str:
        return json.dumps(pair | {part: pair[part] | values})

    yield from {
        "nothing": "",
        "no JSON": "{",
        "a number": "7",
        "a list": "[1]",
        "null": "null",
        "a list of pairs": json.dumps([pair]),
        "the session alone": json.dumps(pair["session"]),
        "a null user": json.dumps(pair | {"user": None}),
        "a session that is a list": json.dumps(pair | {"session": [pair["session"]]}),
        "another token": changed("session", token="another"),
        "another user": changed("user", id="bob"),
        "a session of another user": changed("session", userId="bob"),
        "no user id": changed("session", userId=None),
        "an empty id": changed("session", id=""),
        "a false id": changed("session", id=False),
        "no end": changed("session", expiresAt=None),
        "an end without time zone": changed("session", expiresAt="2099-01-01T00:00:00"),
        "an endless end": changed("session", expiresAt=1e300),
        "NaN": changed("session", expiresAt=float("nan")),
        "a past end": changed("session", expiresAt="2020-01-01T00:00:00.000Z"),
        "a past end as number": changed("session", expiresAt=milliseconds(session.created_at) - 1),
        "no address": changed("user", email=None),
        "no valid address": changed("user", email="ann"),
        "a lone surrogate": changed("user", id="\ud800"),
        "lone surrogates": changed("session", userId="\ud800", id="\udc00"),
        "too deep": "[" * 100_000,
    }.items()


async def test_nonsense_is_no_session(
    backend: Backend, session: Session, user: User, server: RedisServer
) -> None:
    for name, text in nonsense(session, user):
        server.ask("SET", f"{_PREFIX}{session.token}", text)
        for path in (ME, TASKS):
            assert (await get(backend, session.token, path)).status_code == 401, name
        assert not backend.store.users, name
    unprintable = replace(session, user_id="a\x00")
    pair = {"session": session_value(unprintable), "user": user_value(replace(user, id="a\x00"))}
    for text in (json.dumps(pair), json.dumps(pair).replace("\\u0000", "\\ud800")):
        server.ask("SET", f"{_PREFIX}{session.token}", text)
        assert (await get(backend, session.token)).status_code == 401
    server.ask("SET", f"{_PREFIX}{session.token}", b"\xff\xfe".decode("latin-1"))
    assert (await get(backend, session.token)).status_code == 401
    # The list of a user is nobody's session, although its key is a text that a client can send.
    for key in ("active-sessions-ann", "revoked-sessions-before-ann"):
        assert (await get(backend, key)).status_code == 401


async def test_nonsense_in_the_list_is_skipped(
    backend: Backend, session: Session, user: User, server: RedisServer
) -> None:
    listed = {"token": session.token, "expiresAt": milliseconds(session.expires_at)}
    of_bob = replace(session, id="b", token="TokenOfBob", user_id="bob")
    put_into_redis(server, of_bob, replace(user, id="bob", email="bob@example.com"), _PREFIX)
    others: list[Any] = [
        1,
        None,
        [],
        {},
        {"token": 1, "expiresAt": 1},
        {"token": "x", "expiresAt": "soon"},
    ]
    others += [{"token": of_bob.token, "expiresAt": 9e15}, {"token": of_bob.token, "expiresAt": 9}]
    texts = {dumped([*others, listed, listed]): 1, "{": 0, "7": 0, "{}": 0, "null": 0}
    for text, count in texts.items():
        server.ask("SET", f"{_PREFIX}active-sessions-ann", text)
        response = await get(backend, session.token, SESSIONS)
        assert response.status_code == 200
        assert [each["id"] for each in response.json()["data"]] == [session.id] * count


@pytest.mark.parametrize("value", ["nonsense", "", "nan", "inf", "1e400"])
async def test_unreadable_revocation_ends_sessions(
    backend: Backend, session: Session, server: RedisServer, value: str
) -> None:
    server.ask("SET", f"{_PREFIX}revoked-sessions-before-ann", value)
    assert (await get(backend, session.token)).status_code == 401


async def test_revocation_ends_earlier_sessions(
    backend: Backend, session: Session, user: User, server: RedisServer
) -> None:
    """One that began in the same millisecond is not earlier."""
    key, began = f"{_PREFIX}revoked-sessions-before-ann", milliseconds(session.created_at)
    newer = replace(
        session, id="n", token="Newer", created_at=session.created_at + timedelta(seconds=1)
    )
    put_into_redis(server, newer, user, _PREFIX)
    server.ask("SET", key, began // 1000 * 1000)
    assert (await get(backend, session.token)).status_code == 200
    server.ask("SET", key, began + 1)
    assert (await get(backend, session.token)).status_code == 401
    response = await get(backend, newer.token, SESSIONS)
    assert [each["id"] for each in response.json()["data"]] == [newer.id]


REPLIES: Final = {
    "a number": b":1\r\n",
    "a simple text of HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "an unknown error": b"-NONSENSE\r\n",
    "a list": b"*1\r\n$1\r\na\r\n",
    "a list that never ends": b"*1000000\r\n",
    "a text that never ends": b"$99999999\r\na",
    "a slow text": b"$99999999\r\n",
    "closed": b"",
}


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.usefixtures("short")
async def test_server_that_is_no_redis(reply: str, session: Session) -> None:
    connections: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            while data := await reader.read(65_536):
                is_command = b"GET" in data or b"EVAL" in data
                writer.write(REPLIES[reply] if is_command else b"+OK\r\n" * data.count(b"*"))
                while is_command and reply == "a slow text":
                    writer.write(b"a")
                    await writer.drain()
                    await asyncio.sleep(_SHORT / 10)
                if reply == "closed":
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    port = free_port()
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        backend = build_backend(better_auth_sessions=f"redis://127.0.0.1:{port}/0?protocol=2")
        async with backend.service.running():
            assert await is_unavailable(backend, session)
    for connection in connections:
        connection.cancel()
    await asyncio.wait(connections)
    await asyncio.sleep(0)
