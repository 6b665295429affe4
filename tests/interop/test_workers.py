"""Two processes on one port: what one of them ends or makes, the other knows at once."""

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

TABS: Final = 20
SESSIONS: Final = """
    select token, "expiresAt" > now() + interval '6 days 23 hours' as is_prolonged
    from session where "userId" = %s
"""


@dataclass(frozen=True)
class Workers:
    """Taskport in two processes, beside a Better Auth on the same database."""

    service: Service
    there: BetterAuthServer
    url: str
    pids: tuple[int, ...]

    def ask(self, method: str, path: str, credential: Headers) -> httpx.Response:
        """One request below `/api`, on a connection of its own."""
        with self.service.client() as client:
            headers = {"Origin": self.there.origin, **credential}
            return client.request(method, f"/api{path}", headers=headers)

    def status(self, credential: Headers) -> int:
        return self.ask("GET", "/tasks", credential).status_code

    @contextmanager
    def only(self, pid: int) -> Iterator[None]:
        """Whoever connects meets this one: the others stand still."""
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
        server(url, secret=SECRET, version="1.7.24") as there,
        new_home() as home,
    ):
        environment = {
            "DATABASE_URL": url,
            "BETTER_AUTH_SECRET": SECRET,
            "BETTER_AUTH_URL": there.origin,
        }
        with home.serving("--workers=2", "--no-migrate", env=environment) as service:
            yield Workers(service, there, url, workers_of(service.pid))


def log_out(workers: Workers, session: dict[str, Headers]) -> int:
    return workers.ask("POST", "/auth/logout", session["cookie"]).status_code


def end_by_id(workers: Workers, session: dict[str, Headers]) -> int:
    valid = workers.ask("GET", "/auth/session/validate", session["cookie"]).json()
    path = f"/users/me/sessions/{valid['session']['id']}"
    return workers.ask("DELETE", path, session["access token"]).status_code


def delete_account(workers: Workers, session: dict[str, Headers]) -> int:
    return workers.ask("DELETE", "/users/me", session["access token"]).status_code


def test_what_one_worker_ends_is_dead_in_the_other(workers: Workers, email: str) -> None:
    """In every form that shows it, and at once."""
    first, second = workers.pids
    for end in (log_out, end_by_id, delete_account):
        signed_up = workers.there.sign_up(f"{end.__name__}-{email}")
        cookie = cookie_of(signed_up)
        refreshed = workers.ask("POST", "/auth/refresh", cookie)
        session = {
            "cookie": cookie,
            "session token": bearer(signed_up.json()["token"]),
            "access token": bearer(refreshed.json()["access_token"]),
        }
        for pid in (first, second):
            with workers.only(pid):
                assert {workers.status(shown) for shown in session.values()} == {200}
        with workers.only(first):
            assert end(workers, session) == 204
            assert {workers.status(shown) for shown in session.values()} == {401}
        with workers.only(second):
            assert {workers.status(shown) for shown in session.values()} == {401}
        with ThreadPoolExecutor(8) as threads:
            statuses = Counter(threads.map(workers.status, [*session.values()] * 10))
        assert statuses == {401: 30}


def test_many_tabs_that_refresh_at_once_share_one_session(workers: Workers, email: str) -> None:
    signed_up = workers.there.sign_up(email)
    cookie, token = cookie_of(signed_up), signed_up.json()["token"]
    rows(workers.url, TO_BE_PROLONGED, token)

    with ThreadPoolExecutor(TABS) as tabs:
        refreshing = [
            tabs.submit(workers.ask, "POST", "/auth/refresh", cookie) for _ in range(TABS)
        ]
        refreshed = [tab.result() for tab in refreshing]
        assert Counter(answer.status_code for answer in refreshed) == {200: TABS}
        tokens = [answer.json()["access_token"] for answer in refreshed]
        assert Counter(tabs.map(workers.status, map(bearer, tokens))) == {200: TABS}

    assert {cookie_of(answer)["Cookie"] for answer in refreshed} == {cookie["Cookie"]}
    user_id = signed_up.json()["user"]["id"]
    assert rows(workers.url, SESSIONS, user_id) == [{"token": token, "is_prolonged": True}]
    assert workers.there.get_session(cookie).json()["session"]["token"] == token


def workers_of(parent: int) -> tuple[int, ...]:
    """Beside them there is a process that tidies up after all."""
    pids = ",".join(str(pid) for pid in tree(parent) - {parent})
    command = ("ps", "-ww", "-o", "pid=,args=", "-p", pids)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=1) for line in said.splitlines()]
    found = tuple(int(pid) for pid, args in lines if "spawn_main" in args)
    assert len(found) == 2, said
    return found
