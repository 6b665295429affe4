"""Two worker processes on one port: each sees the other's changes at once."""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import pytest

from tests.interop.better_auth import BetterAuthServer, cookie_of, server
from tests.interop.sides import TO_BE_PROLONGED, bearer, rows
from tests.interop.taskport import SECRET, Headers
from tests.processes.service import Service, new_home, tree
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres, pytest.mark.process]

#: Concurrent clients.
CLIENTS: Final = 20
SESSIONS: Final = """
    select token, "expiresAt" > now() + interval '6 days 23 hours' as is_prolonged
    from session where "userId" = %s
"""


@dataclass(frozen=True)
class Workers:
    """Taskport with two workers, and a Better Auth server on the same database."""

    service: Service
    better_auth: BetterAuthServer
    url: str
    pids: tuple[int, ...]

    def request(self, method: str, path: str, credential: Headers) -> httpx.Response:
        """One request below `/api`, on a connection of its own."""
        with self.service.client() as client:
            headers = {"Origin": self.better_auth.origin, **credential}
            return client.request(method, f"/api{path}", headers=headers)

    def status(self, credential: Headers) -> int:
        return self.request("GET", "/tasks", credential).status_code

    @contextmanager
    def only(self, pid: int) -> Iterator[None]:
        """Only this worker accepts connections: the others are suspended."""
        others = [other for other in self.pids if other != pid]
        for other in others:
            os.kill(other, signal.SIGSTOP)
        try:
            yield
        finally:
            for other in others:
                os.kill(other, signal.SIGCONT)


@pytest.fixture(scope="module")
def workers(node_modules: None, postgres_18_server: PostgresServer) -> Iterator[Workers]:
    with (
        postgres_18_server.database() as url,
        server(url, secret=SECRET, version="1.7.24") as better_auth,
        new_home() as home,
    ):
        environment = {
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": better_auth.origin,
        }
        with home.serving("--workers=2", "--no-migrate", env=environment) as service:
            yield Workers(service, better_auth, url, workers_of(service.pid))


def log_out(workers: Workers, session: dict[str, Headers]) -> int:
    return workers.request("POST", "/auth/logout", session["cookie"]).status_code


def end_by_id(workers: Workers, session: dict[str, Headers]) -> int:
    valid = workers.request("GET", "/auth/session/validate", session["cookie"]).json()
    path = f"/users/me/sessions/{valid['session']['id']}"
    return workers.request("DELETE", path, session["access token"]).status_code


def delete_account(workers: Workers, session: dict[str, Headers]) -> int:
    return workers.request("DELETE", "/users/me", session["access token"]).status_code


def test_session_ended_by_one_worker_is_rejected_by_the_other(workers: Workers, email: str) -> None:
    """With each of its credentials, and at once."""
    first, second = workers.pids
    for end in (log_out, end_by_id, delete_account):
        signed_up = workers.better_auth.sign_up(f"{end.__name__}-{email}")
        cookie = cookie_of(signed_up)
        refreshed = workers.request("POST", "/auth/refresh", cookie)
        session = {
            "cookie": cookie,
            "session token": bearer(signed_up.json()["token"]),
            "access token": bearer(refreshed.json()["access_token"]),
        }
        for pid in (first, second):
            with workers.only(pid):
                assert {workers.status(credential) for credential in session.values()} == {200}
        with workers.only(first):
            assert end(workers, session) == 204
            assert {workers.status(credential) for credential in session.values()} == {401}
        with workers.only(second):
            assert {workers.status(credential) for credential in session.values()} == {401}
        with ThreadPoolExecutor(8) as threads:
            statuses = Counter(threads.map(workers.status, [*session.values()] * 10))
        assert statuses == {401: 30}


def test_concurrent_refreshes_share_one_session(workers: Workers, email: str) -> None:
    signed_up = workers.better_auth.sign_up(email)
    cookie, token = cookie_of(signed_up), signed_up.json()["token"]
    rows(workers.url, TO_BE_PROLONGED, token)

    with ThreadPoolExecutor(CLIENTS) as clients:
        refreshing = [
            clients.submit(workers.request, "POST", "/auth/refresh", cookie) for _ in range(CLIENTS)
        ]
        refreshed = [future.result() for future in refreshing]
        assert Counter(response.status_code for response in refreshed) == {200: CLIENTS}
        tokens = [response.json()["access_token"] for response in refreshed]
        assert Counter(clients.map(workers.status, map(bearer, tokens))) == {200: CLIENTS}

    assert {cookie_of(response)["Cookie"] for response in refreshed} == {cookie["Cookie"]}
    user_id = signed_up.json()["user"]["id"]
    assert rows(workers.url, SESSIONS, user_id) == [{"token": token, "is_prolonged": True}]
    assert workers.better_auth.get_session(cookie).json()["session"]["token"] == token


def workers_of(parent: int) -> tuple[int, ...]:
    """The worker processes. The parent has one more child, multiprocessing's resource tracker."""
    pids = ",".join(str(pid) for pid in tree(parent) - {parent})
    command = ("ps", "-ww", "-o", "pid=,args=", "-p", pids)
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=1) for line in output.splitlines()]
    workers = tuple(int(pid) for pid, args in lines if "spawn_main" in args)
    assert len(workers) == 2, output
    return workers
