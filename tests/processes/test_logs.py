"""The log of `taskport serve` after all kinds of requests and failures: events, and no secrets."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import jwt
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from adapters.postgres.better_auth_tables import statements
from adapters.postgres_server.loopback import free_port
from tests import canaries
from tests.better_auth.signer import signer
from tests.http.credentials import signature, signed
from tests.processes.service import (
    Environment,
    Home,
    Service,
    new_home,
)
from tests.servers import JWKS_TABLE, PostgresServer
from tests.waiting import LIMIT_SECONDS, eventually

# `canaries` searches the log of each service that a `Home` starts for the word "canary".
SECRET: Final = "canary-secret-which-signs-all-that-there-is"
PASSWORD: Final = "canary password 1"
WRONG: Final = "canary password 2"
TITLE: Final = "canary title"
ANN: Final = {"email": "canary-ann@example.com", "password": PASSWORD}
BOB: Final = {"email": "canary-bob@example.com", "password": PASSWORD}
ORIGIN: Final = "http://localhost:3000"
TASKS: Final = "/api/tasks"
WAITING_FOR_A_LOCK: Final = """
    select pid from pg_stat_activity where wait_event_type = 'Lock' and query like '%tasks%'
"""
JSON: Final = {"LOG_FORMAT": "json", "LOG_LEVEL": "debug", "BETTER_AUTH_SECRET": SECRET}

Event = dict[str, Any]


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


def events(text: str) -> list[Event]:
    """The events of a log, whose lines must all be complete."""
    parsed = [json.loads(line) for line in text.splitlines()]
    for event in parsed:
        assert list(event)[:4] == ["timestamp", "level", "event", "logger"]
        assert event["level"] in ("debug", "info", "warning", "error", "critical")
    return parsed


def requests_in(text: str) -> list[Event]:
    return [event for event in events(text) if event["event"] == "request"]


# A service after all kinds of requests and failures


@dataclass
class Storm:
    """The output of a service after requests and failures of all kinds, and their secrets."""

    text: str = ""
    out: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    task_id: int = 0

    @property
    def events(self) -> list[Event]:
        return events(self.text)

    def of(self, name: str) -> list[Event]:
        return [event for event in self.events if event["event"] == name]


@pytest.fixture(scope="module")
def storm(postgres_18_server: PostgresServer) -> Iterator[Storm]:
    storm = Storm()
    with postgres_18_server.database(template="template0") as url, new_home() as home:
        settings = {
            **JSON,
            "DATABASE_URL": url,
            "SLOW_QUERY_MS": "100",
            "RATE_LIMIT": "2000/minute",
            "AUTH_RATE_LIMIT": "4/hour",
            "RATE_LIMIT_STORAGE": f"redis://:canary-redis@127.0.0.1:{free_port()}/0",
            "BETTER_AUTH_JWKS_URL": f"http://127.0.0.1:{free_port()}/canary",
        }
        with psycopg.connect(url) as connection:
            for statement in (*statements("public"), JWKS_TABLE):
                connection.execute(statement.encode())
        with home.serving(env=settings) as service:
            with service.client() as client:
                client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=()))
                sign_in(client, storm)
                send_every_credential(client, url, storm)
                use_tasks(client, storm)
                send_invalid_requests(service, client, storm)
                break_the_database(service, client, url, storm)
            assert service.terminate() == 0
            storm.text, storm.out = service.err, service.out
        storm.tokens += [urlsplit(url).password or "", url]
        yield storm


def sign_in(client: httpx.Client, storm: Storm) -> None:
    for name, body in (("ann", ANN), ("bob", BOB)):
        signed_up = client.post("/api/auth/signup", json={**body, "name": "canary name"})
        assert signed_up.status_code == 201, signed_up.text
        storm.ids[name] = signed_up.json()["user"]["id"]
        storm.sessions[name] = signed_up.json()["session_token"]
        storm.tokens += [signed_up.json()["session_token"], signed_up.json()["access_token"]]
        storm.tokens.append(signed_up.headers["set-cookie"].partition("=")[2].partition(";")[0])
    assert client.post("/api/auth/signup", json=ANN).status_code == 409
    for body in ({**ANN, "password": WRONG}, {**ANN, "email": "canary-nobody@example.com"}):
        assert client.post("/api/auth/login", json=body).status_code == 401
    # Users sometimes type their password into the field for the address.
    assert client.post("/api/auth/login", json={**ANN, "email": PASSWORD}).status_code == 422
    logged_in = client.post("/api/auth/login", json=ANN).json()
    storm.tokens += [logged_in["session_token"], logged_in["access_token"]]


def send_every_credential(client: httpx.Client, url: str, storm: Storm) -> None:
    session, access = storm.tokens[-2:]
    key = signer("canary-kid")
    with psycopg.connect(url) as connection:
        connection.execute(
            'insert into jwks (id, "publicKey", "privateKey", "createdAt")'
            " values (%s, %s, %s, now())",
            (key.kid, key.row(), "canary"),
        )
    now = int(time.time())
    claims = {"sub": storm.ids["ann"], "iat": now, "exp": now + 900, "iss": ORIGIN, "aud": ORIGIN}
    shared = jwt.encode({"sub": storm.ids["ann"], "iat": now, "exp": now + 900}, SECRET)
    credentials: dict[str, Mapping[str, str]] = {
        "cookie": {"Cookie": f"better-auth.session_token={signed(session, SECRET)}"},
        "raw": bearer(session),
        "signed": bearer(f"{session}.{signature(session, SECRET)}"),
        "jwt": bearer(key.token(claims)),
        "access": bearer(access),
        "shared": bearer(shared),
    }
    for name, headers in credentials.items():
        response = client.get("/api/auth/session/validate", headers=headers)
        assert response.status_code == 200, (name, response.text)
        storm.tokens += [*headers.values(), *(value.split()[-1] for value in headers.values())]
    # A token whose key is not in the table, while the JWKS endpoint is unreachable.
    unknown = bearer(signer("canary-unknown").token(claims))
    assert client.get(TASKS, headers=unknown).status_code == 503
    expired = bearer(key.token({**claims, "exp": now - 900}))
    for bad in (expired, bearer("canary"), bearer("eyJ.canary.x"), {"Cookie": "a=canary"}):
        assert client.get(TASKS, headers=bad).status_code == 401
        storm.tokens += bad.values()
    storm.tokens += unknown.values()


def use_tasks(client: httpx.Client, storm: Storm) -> None:
    ann, bob = bearer(storm.sessions["ann"]), bearer(storm.sessions["bob"])
    created = client.post(
        TASKS, json={"title": TITLE, "description": "canary description"}, headers=ann
    )
    assert created.status_code == 201, created.text
    storm.task_id = created.json()["id"]
    path = f"{TASKS}/{storm.task_id}"
    assert client.get(f"{TASKS}?q=canary", headers=ann).json()["count"] == 1
    assert client.patch(path, json={"title": "canary again"}, headers=ann).status_code == 200
    assert client.get(path, headers=bob).status_code == 403
    assert client.patch("/api/users/me", json={"name": "canary"}, headers=ann).status_code == 200
    stale = {**ann, "If-Match": '"7"'}
    assert client.patch(path, json={"title": TITLE}, headers=stale).status_code == 412


def send_invalid_requests(service: Service, client: httpx.Client, storm: Storm) -> None:
    ann = bearer(storm.sessions["ann"])
    for method, path, options in (
        ("POST", TASKS, {"content": b'{"title": "canary', "headers": {**ann, **AS_JSON}}),
        ("POST", TASKS, {"content": b"\xffcanary", "headers": {**ann, **AS_JSON}}),
        ("POST", TASKS, {"content": b"canary", "headers": ann}),
        ("POST", TASKS, {"json": {"title": "canary", "canary": 1}, "headers": ann}),
        ("POST", TASKS, {"json": {"title": "canary" * 60}, "headers": ann}),
        ("POST", TASKS, {"json": {"title": "canary\x00"}, "headers": ann}),
        ("POST", TASKS, {"json": {"title": "canary" * 20_000}, "headers": ann}),
        ("PATCH", f"{TASKS}/{storm.task_id}", {"json": ["canary"], "headers": ann}),
        ("GET", f"{TASKS}?canary=canary", {"headers": ann}),
        ("GET", f"{TASKS}?status=canary&limit=canary", {"headers": ann}),
        ("GET", f"{TASKS}/canary", {"headers": ann}),
        ("GET", "/canary/%0d%0aforged", {"headers": ann}),
        ("DELETE", "/api/users/me/sessions/canary", {"headers": ann}),
        ("PROPFIND", "/canary", {}),
        ("GET", TASKS, {"headers": {"User-Agent": "canary", "Referer": "http://x/canary"}}),
        ("GET", TASKS, {"headers": {"X-Forwarded-For": "canary", "Host": "canary.example.com"}}),
        ("POST", TASKS, {"headers": {"Origin": "https://canary.example.com"}}),
        ("GET", TASKS, {"headers": {"X-Request-ID": "no canary: it has spaces"}}),
        ("GET", TASKS, {"headers": {"If-None-Match": "canary", **ann}}),
        ("GET", TASKS, {"headers": {"X-Request-ID": "known-id", **ann}}),
    ):
        response = client.request(method, path, **options)
        assert response.status_code < 500, (method, path, response.text)
    for data in (
        b"canary\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: canary\r\n\tcanary\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: \rcanary\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: canary\nlevel: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-ID: \xff\xfecanary\x1b[31m\r\n\r\n",
        b"GET /\x1b[31mcanary HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CANARY / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"canary" * 10_000 + b"\r\n\r\n",
        b"POST /api/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\ncanary\r\n",
    ):
        send(service, data)


def send(service: Service, data: bytes) -> None:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=LIMIT_SECONDS) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while connection.recv(65_536):
                pass


def break_the_database(service: Service, client: httpx.Client, url: str, storm: Storm) -> None:
    ann = bearer(storm.sessions["ann"])

    def create(title: str, status: int, **headers: str) -> None:
        response = client.post(TASKS, json={"title": title}, headers={**ann, **headers})
        assert response.status_code == status, response.text
        assert "canary" not in response.text or status == 201

    with psycopg.connect(url, autocommit=True) as connection:
        tasks = "taskport.tasks"
        # A constraint: the error of Postgres quotes the row.
        connection.execute(f"alter table {tasks} add constraint no_x check (title <> 'canary x')")
        create("canary x", 500)
        # A trigger that raises an error with a message.
        connection.execute(
            "create function complain() returns trigger language plpgsql as"
            " $$ begin raise exception 'canary %', new.title; end $$"
        )
        connection.execute(
            f"create trigger complain before insert on {tasks}"
            " for each row when (new.title = 'canary y') execute function complain()"
        )
        create("canary y", 500, **{"X-Request-ID": "the-crash"})
        # A trigger that fails with a data error.
        connection.execute(
            "create function shorten() returns trigger language plpgsql as"
            " $$ begin new.title := new.title::text::varchar(3)::text || (1/0); return new; end $$"
        )
        connection.execute(
            f"create trigger shorten before insert on {tasks}"
            " for each row when (new.title = 'canary z') execute function shorten()"
        )
        create("canary z", 422)
        # A constraint of the front end on users.
        connection.execute(
            """alter table "user" add constraint no_z check (email <> 'canary-z@example.com')"""
        )
        shared = jwt.encode(
            {"sub": "z", "email": "canary-z@example.com", "exp": int(time.time()) + 900}, SECRET
        )
        assert client.get(TASKS, headers=bearer(shared)).status_code in (401, 503)
        storm.tokens.append(shared)
        # A missing column.
        connection.execute(f"alter table {tasks} rename column description to d")
        create(TITLE, 503)
        connection.execute(f"alter table {tasks} rename column d to description")
        # A lock of another connection.
        with psycopg.connect(url) as other:
            other.execute(f"lock table {tasks} in access exclusive mode")
            waiting = begin_request(service, storm)
            eventually(lambda: connection.execute(WAITING_FOR_A_LOCK).fetchone() is not None)
            # Longer than SLOW_QUERY_MS.
            time.sleep(0.2)
            other.rollback()
            assert_success(waiting)
    # Lost connections, for long enough to be noticed.
    name = conninfo_to_dict(url)["dbname"]
    with psycopg.connect(f"{url.rpartition('/')[0]}/postgres", autocommit=True) as connection:
        connection.execute(f"alter database {name} allow_connections false")
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s",
            (name,),
        )
        eventually(lambda: '"database_lost"' in service.err)
        assert client.get(TASKS, headers=ann).status_code == 503
        connection.execute(f"alter database {name} allow_connections true")
    eventually(lambda: service.responds("/readyz"))
    # Brute force.
    for _ in range(6):
        limited = client.post("/api/auth/login", json={**BOB, "password": WRONG})
    assert limited.status_code == 429


def begin_request(service: Service, storm: Storm) -> socket.socket:
    """Send a request, without waiting for the response."""
    url = httpx.URL(service.url)
    connection = socket.create_connection((url.host, url.port or 80), timeout=LIMIT_SECONDS)
    connection.sendall(
        b"GET /api/tasks?q=canary HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        + f"Authorization: Bearer {storm.sessions['ann']}\r\n\r\n".encode()
    )
    return connection


def assert_success(connection: socket.socket) -> None:
    with connection:
        assert b" 200 " in connection.recv(65_536)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


AS_JSON: Final = {"Content-Type": "application/json"}


@pytest.mark.postgres
def test_all_lines_are_complete(storm: Storm) -> None:
    assert len(storm.events) > 60
    stamps = [event["timestamp"] for event in storm.events]
    assert all(stamp.endswith("Z") and stamp[10] == "T" for stamp in stamps)


@pytest.mark.postgres
def test_log_and_output_contain_no_secret(storm: Storm) -> None:
    """Neither a planted one nor a generated one."""
    canaries.assert_no_secrets(storm.text, [secret for secret in storm.tokens if secret])
    for name in ("canary", SECRET, *filter(None, storm.tokens)):
        assert name not in storm.out
    assert len(storm.tokens) > 20


@pytest.mark.postgres
def test_each_request_is_logged(storm: Storm) -> None:
    requests = storm.of("request")
    for request in requests:
        # 499: the client disconnected before a response.
        is_error = request["status"] >= 400 and request["status"] != 499
        assert list(request)[4:] == [
            *("method", "route", "status", "duration_ms", "request_id", "user_id", "address"),
            *(("error_code", "reason") if is_error else ()),
        ]
        assert (request.get("reason") is not None) == (request["status"] in (401, 403))
        assert request["address"] == "127.0.0.1"
    [known] = [request for request in requests if request["request_id"] == "known-id"]
    assert known == {
        **known,
        "level": "info",
        "logger": "taskport.request",
        "method": "GET",
        "route": "/api/tasks",
        "status": 200,
        "user_id": storm.ids["ann"],
    }
    routes = {request["route"] for request in requests}
    assert {"/api/tasks/{task_id}", "/api/users/me/sessions/{session_id}", None} <= routes
    assert {"/livez", "/readyz", "/api/auth/login", "/api/auth/session/validate"} & routes


@pytest.mark.postgres
def test_forbidden_access_is_a_warning(storm: Storm) -> None:
    [event] = storm.of("task_refused")
    assert event["level"] == "warning"
    assert (event["user_id"], event["owner_id"]) == (storm.ids["bob"], storm.ids["ann"])
    assert event["task_id"] == storm.task_id


@pytest.mark.postgres
def test_failed_sign_ins_and_exceeded_limits_are_warnings(storm: Storm) -> None:
    accounts = [event["account"] for event in storm.of("sign_in_failed")]
    assert accounts[:2] == [storm.ids["ann"], None]
    assert set(accounts[2:]) == {storm.ids["bob"]}
    reached = storm.of("limit_reached")
    assert {event["limit"] for event in reached} == {"log_ins"}
    assert {event["level"] for event in (*reached, *storm.of("sign_in_failed"))} == {"warning"}


@pytest.mark.postgres
def test_crash_is_an_error_with_its_traceback(storm: Storm) -> None:
    [crash] = [event for event in storm.of("request_crashed") if event["request_id"] == "the-crash"]
    assert crash["level"] == "error"
    assert crash["route"] == "/api/tasks"
    assert crash["user_id"] == storm.ids["ann"]
    assert "psycopg.errors.RaiseException" in crash["exception"]
    assert 'adapters/postgres/tasks.py", line' in crash["exception"]


@pytest.mark.postgres
def test_slow_statement_is_a_warning_with_its_name(storm: Storm) -> None:
    slow = storm.of("slow_statement")
    assert "tasks.list" in {event["statement"] for event in slow}
    for event in slow:
        assert event["level"] == "warning"
        assert set(event) == {
            *("timestamp", "level", "event", "logger"),
            *("statement", "duration_ms"),
        }
        assert event["duration_ms"] > 100


@pytest.mark.postgres
def test_database_events_are_logged(storm: Storm) -> None:
    [migrated] = storm.of("database_migrated")
    assert migrated["before"] is None
    assert migrated["after"]
    assert {event["lane"] for event in storm.of("database_connected")} == {"read", "write"}
    assert storm.of("database_lost")
    assert {event["level"] for event in storm.of("database_lost")} == {"warning"}
    assert {event["error"] for event in storm.of("statement_failed")} >= {"UndefinedColumn"}
    assert {event["error"] for event in storm.of("value_refused")} == {"DivisionByZero"}


@pytest.mark.postgres
def test_outage_is_logged_once(storm: Storm) -> None:
    [redis] = storm.of("redis_unavailable")
    [keys] = storm.of("jwks_unavailable")
    [proxy] = storm.of("proxy_not_trusted")
    assert {redis["level"], keys["level"], proxy["level"]} == {"warning"}


@pytest.mark.postgres
def test_malformed_http_is_a_warning(storm: Storm) -> None:
    assert [event for event in storm.events if event["logger"] == "uvicorn.error"]


# Settings of the log


def test_lower_levels_are_not_logged(home: Home) -> None:
    with home.serving("--memory", env={**JSON, "LOG_LEVEL": "warning"}) as service:
        assert service.request("POST", "/api/auth/login", json=ANN).status_code == 401
        service.terminate()
        assert [event["event"] for event in events(service.err)] == [
            "sign_in_failed",
            "request_refused",
        ]


def test_console_format(home: Home) -> None:
    with home.serving("--memory", env={**JSON, "LOG_FORMAT": "console"}) as service:
        service.request("GET", TASKS)
        service.terminate()
        refused, line = (line for line in service.err.splitlines() if TASKS in line)
        assert "reason=cookie_missing" in refused
        assert "route=/api/tasks" in line
        assert "error_code=UNAUTHENTICATED reason=cookie_missing" in line
        assert "status=401" in line
        assert "\x1b" not in line


def test_json_is_the_default_without_a_terminal(home: Home) -> None:
    settings = {"BETTER_AUTH_SECRET": SECRET}
    with home.serving("--memory", env=settings) as service:
        service.request("GET", TASKS)
        service.terminate()
        assert requests_in(service.err)


def test_console_format_is_the_default_on_a_terminal(home: Home) -> None:
    """LOG_FORMAT=json overrides it."""
    for settings, is_json in (({}, False), ({"LOG_FORMAT": "json"}, True)):
        reading, writing = pty.openpty()
        with running(home, writing, {"BETTER_AUTH_SECRET": SECRET, **settings}) as (process, url):
            os.close(writing)
            assert httpx.get(f"{url}{TASKS}", trust_env=False).status_code == 401
            output = b""
            while b"duration_ms" not in output or not output.endswith(b"\n"):
                output += os.read(reading, 65_536)
            process.terminate()
            process.wait(LIMIT_SECONDS)
        os.close(reading)
        [line] = [line for line in output.decode().splitlines() if "duration_ms" in line]
        assert line.startswith("{") == is_json
        assert ("\x1b[" in line) != is_json
        assert "canary" not in line


# Writing


def test_lines_of_the_last_requests_are_written_on_shutdown(home: Home) -> None:
    with home.serving("--memory", env=JSON) as service:
        with service.client() as client:
            for number in range(50):
                client.get("/livez", headers={"X-Request-ID": f"n-{number}"})
        service.terminate()
        ids = [request["request_id"] for request in requests_in(service.err)]
    assert [name for name in ids if name.startswith("n-")] == [f"n-{n}" for n in range(50)]


@pytest.mark.postgres
def test_lines_of_all_workers_are_written_on_shutdown(home: Home, database_url: str) -> None:
    """Each of them complete."""
    settings = {**JSON, "DATABASE_URL": database_url}
    with home.serving("--workers=2", env=settings) as service:
        for number in range(40):
            service.request("GET", f"/livez?n={number}")
        eventually(lambda: service.connected_workers() == 2)
        service.terminate()
        found = requests_in(service.err)
        assert len([request for request in found if request["route"] == "/livez"]) == 40


def test_full_pipe_blocks_neither_requests_nor_shutdown(home: Home) -> None:
    reading, writing = os.pipe()
    try:
        with running(home, writing, JSON) as (process, url):
            os.close(writing)
            with httpx.Client(base_url=url, trust_env=False, timeout=LIMIT_SECONDS) as client:
                for _ in range(700):
                    assert client.get(TASKS).status_code == 401
                assert client.post("/api/auth/login", json=ANN).status_code == 401
                assert client.get("/livez").status_code == 200
            process.terminate()
            process.wait(LIMIT_SECONDS)
            # The interpreter does not abort because of a lock that the writing thread holds.
            assert process.returncode in (0, -signal.SIGTERM)
    finally:
        os.close(reading)


def test_closed_pipe_blocks_neither_requests_nor_shutdown(home: Home) -> None:
    reading, writing = os.pipe()
    with running(home, writing, JSON) as (process, url):
        os.close(writing)
        os.close(reading)
        with httpx.Client(base_url=url, trust_env=False, timeout=LIMIT_SECONDS) as client:
            for _ in range(20):
                assert client.get(TASKS).status_code == 401
                time.sleep(0.02)
            assert client.post("/api/auth/login", json=ANN).status_code == 401
        process.terminate()
        assert process.wait(LIMIT_SECONDS) in (0, -signal.SIGTERM)


@contextmanager
def running(
    home: Home, err: int, env: Environment
) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    """`taskport serve --memory` with a pipe or terminal as standard error: process and URL."""
    number = len(list(home.folder.glob("pipe-*")))
    out = home.folder / f"pipe-{number}"
    with out.open("wb") as out_file:
        process = subprocess.Popen(
            [*home.command, "serve", "--host=127.0.0.1", "--port=0", "--memory"],
            stdin=subprocess.DEVNULL,
            stdout=out_file,
            stderr=err,
            start_new_session=True,
            **home.options(env),
        )
    try:
        eventually(lambda: "http://" in out.read_text() or process.poll() is not None)
        yield process, _url(out)
    finally:
        process.kill()
        process.wait()


def _url(out: Path) -> str:
    url = next(word for word in out.read_text().split() if word.startswith("http://"))
    address = httpx.URL(url)
    eventually(lambda: _listens(address.host, address.port or 80))
    return url


def _listens(host: str, port: int) -> bool:
    with suppress(ConnectionRefusedError):
        socket.create_connection((host, port), timeout=LIMIT_SECONDS).close()
        return True
    return False
