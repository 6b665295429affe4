"""`/metrics` as Prometheus reads it, of one process and of several workers."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx
import psycopg
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from tests.processes.service import (
    SECRET,
    Environment,
    Home,
    Service,
    new_home,
    signed_token,
    tree,
    wait_until,
)

TASKS: Final = "/api/tasks"
WITH_SECRET: Final = {"BETTER_AUTH_SECRET": SECRET}
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Metrics:
    """What one answer said."""

    samples: dict[tuple[str, Labels], float]
    types: dict[str, str]

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a series; 0 where there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0)

    def requests(self, method: str, route: str, status: int) -> float:
        return self("http_requests_total", method=method, route=route, status=str(status))

    def series(self) -> set[tuple[str, Labels]]:
        """All that is ours."""
        return {key for key in self.samples if key[0].startswith(("http_", "taskport_"))}


def metrics_of(service: Service) -> Metrics:
    """From whichever worker answers."""
    answer = service.ask("GET", "/metrics")
    assert answer.status_code == 200, answer.text
    samples: dict[tuple[str, Labels], float] = {}
    types = {}
    for family in text_string_to_metric_families(answer.text):
        types[family.name] = family.type
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{key} stands there twice"
            samples[key] = sample.value
    return Metrics(samples, types)


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture
def configured(database_url: str) -> Environment:
    return {"DATABASE_URL": database_url, **WITH_SECRET}


def test_requests_are_counted_by_route_and_status(home: Home) -> None:
    token = signed_token()
    with home.serving("--memory", env=WITH_SECRET) as service:
        for number in range(3):
            service.create(token, f"task {number}")
        for task_id in range(1, 8):
            service.ask("GET", f"{TASKS}/{task_id}", token=token)
        service.ask("GET", TASKS)
        service.ask("HEAD", TASKS, token=token)
        service.ask("GET", "/api/nothing")
        service.ask("DELETE", TASKS)
        metrics = metrics_of(service)
    one = f"{TASKS}/{{task_id}}"
    assert metrics.requests("POST", TASKS, 201) == 3
    assert metrics.requests("GET", one, 200) == 3
    assert metrics.requests("GET", one, 404) == 4
    assert metrics.requests("GET", TASKS, 401) == 1
    assert metrics.requests("HEAD", TASKS, 200) == 1
    assert metrics.requests("GET", "other", 404) == 1
    assert metrics.requests("DELETE", "other", 405) == 1
    count = metrics("http_request_duration_seconds_count", method="GET", route=one)
    total = metrics("http_request_duration_seconds_sum", method="GET", route=one)
    assert (count, 0 < total < 5) == (7, True)
    for bound, least in (("+Inf", 7), ("5.0", 7), ("0.001", 0)):
        labels = {"method": "GET", "route": one, "le": bound}
        assert metrics("http_request_duration_seconds_bucket", **labels) >= least
    assert metrics.types["http_requests"] == "counter"
    assert metrics.types["http_request_duration_seconds"] == "histogram"
    assert metrics.types["taskport_password_hashes"] == "gauge"


def test_whoever_prefers_openmetrics_gets_it(home: Home) -> None:
    """Its parser is the stricter one. Neither says when a series began."""
    with home.serving("--memory", env=WITH_SECRET) as service:
        service.ask("GET", TASKS)
        with service.client() as client:
            plain = client.get("/metrics")
            modern = client.get("/metrics", headers={"Accept": OPENMETRICS})
            odd = client.get("/metrics", headers={"Accept": "text/html;q=x, ;;="})
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert (odd.status_code, odd.headers["content-type"][:10]) == (200, "text/plain")
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")
    assert "http_requests" in {family.name for family in openmetrics_families(modern.text)}  # type: ignore[no-untyped-call]
    assert "_created" not in plain.text + modern.text


def test_nobody_has_to_prove_anything_and_no_limit_counts_it(home: Home) -> None:
    """Whoever watches asks often; a credential, a good or a bad one, changes nothing."""
    settings = {**WITH_SECRET, "RATE_LIMIT": "2/minute"}
    with home.serving("--memory", env=settings) as service:
        for token in (None, signed_token(), "bad", None, None):
            answer = service.ask("GET", "/metrics", token=token)
            assert answer.status_code == 200
            assert "ratelimit" not in answer.headers
            assert answer.headers["cache-control"] == "no-store"
        assert [service.ask("GET", TASKS).status_code for _ in range(4)] == [401, 401, 429, 429]
        metrics = metrics_of(service)
    name = "taskport_rate_limit_decisions_total"
    assert metrics(name, limit="requests", decision="allowed") == 2
    assert metrics(name, limit="requests", decision="refused") == 2


def test_the_limits_of_signing_in_are_counted(home: Home) -> None:
    settings = {**WITH_SECRET, "AUTH_RATE_LIMIT": "2/hour"}
    wrong = {"email": "ann@example.com", "password": "wrong horse battery"}
    with home.serving("--memory", env=settings) as service:
        statuses = [
            service.ask("POST", "/api/auth/login", json=wrong).status_code for _ in range(4)
        ]
        metrics = metrics_of(service)
    assert statuses == [401, 401, 429, 429]
    name = "taskport_rate_limit_decisions_total"
    assert metrics(name, limit="log_ins", decision="allowed") == 2
    assert metrics(name, limit="log_ins", decision="refused") == 2


def test_ten_thousand_different_requests_add_no_series(home: Home) -> None:
    """Of ids, paths, methods, parameters and whatever else a client makes up."""
    with home.serving("--memory", env=WITH_SECRET) as service:
        send_all(service, range(2))
        metrics_of(service)
        before = metrics_of(service).series()
        send_all(service, range(2, 1_100))
        after = metrics_of(service).series()
    assert after == before
    assert not [key for key in after if "4711" in str(key) or "canary" in str(key)]


KINDS: Final = (
    ("GET", f"{TASKS}/{{n}}"),
    ("GET", f"{TASKS}/canary-{{n}}"),
    ("DELETE", f"{TASKS}/{{n}}"),
    ("GET", "/canary/{n}"),
    ("PUT", "/api/users/{n}"),
    ("DELETE", "/api/users/me/sessions/{n}"),
    ("GET", f"{TASKS}?canary{{n}}=1"),
    ("GET", "/docs/{n}"),
    ("PROPFIND", f"{TASKS}/{{n}}"),
    ("MKCALENDAR", "/{n}"),
)


def send_all(service: Service, numbers: range) -> None:
    """A request of each kind for each number, on one connection and without waiting."""
    url = httpx.URL(service.url)
    asked = [
        f"{method} {path.format(n=4711 * n)} HTTP/1.1\r\nHost: x{n}\r\nUser-Agent: canary-{n}\r\n"
        f"X-Request-ID: n{n}\r\n\r\n"
        for n in numbers
        for method, path in KINDS
    ]
    last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        socket.create_connection((url.host, url.port or 80), timeout=60) as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        sending = threads.submit(connection.sendall, "".join([*asked, last]).encode())
        answers = b"".join(iter(lambda: connection.recv(1_000_000), b""))
        sending.result()
    assert answers.count(b"HTTP/1.1 ") == len(asked) + 1


@pytest.mark.postgres
def test_the_database_is_measured(home: Home, configured: Environment) -> None:
    """What stands, how long statements wait and take, and what is on its way."""
    token = signed_token()
    with home.serving(env=configured) as service:
        service.create(token, "first")
        for _ in range(5):
            service.titles(token)
        name = "taskport_database_statement_seconds"
        wait_until(lambda: connections(metrics_of(service)) == (3, 12), 10)
        # Statements are counted some at a time.
        wait_until(lambda: metrics_of(service)(f"{name}_count", statement="tasks.list") >= 5, 2)
        metrics = metrics_of(service)
        assert metrics(f"{name}_count", statement="tasks.list") >= 5
        assert metrics(f"{name}_count", statement="tasks.add") == 1
        assert 0 < metrics(f"{name}_sum", statement="tasks.list") < 5
        for lane in ("read", "write"):
            assert metrics("taskport_database_wait_seconds_count", lane=lane) >= 1
        assert metrics.types[name] == metrics.types["taskport_database_wait_seconds"] == "histogram"

        with (
            psycopg.connect(configured["DATABASE_URL"]) as other,
            ThreadPoolExecutor(60) as threads,
        ):
            other.execute("lock table taskport.tasks in access exclusive mode")
            asked = [threads.submit(service.ask, "GET", TASKS, token=token) for _ in range(60)]
            wait_until(lambda: on_their_way(metrics_of(service)) == (48, 12), 3)
            other.rollback()
            assert {answer.result().status_code for answer in asked} == {200}
        wait_until(lambda: on_their_way(metrics_of(service)) == (0, 0), 3)


def connections(metrics: Metrics) -> tuple[float, float]:
    name = "taskport_database_connections"
    return metrics(name, lane="read"), metrics(name, lane="write")


def on_their_way(metrics: Metrics) -> tuple[float, float]:
    name = "taskport_database_statements"
    return (
        metrics(name, lane="read", stage="in_flight"),
        metrics(name, lane="read", stage="queued"),
    )


def test_passwords_that_wait_are_seen(home: Home) -> None:
    """While they are hashed, and not afterwards."""
    wrong = {"email": "ann@example.com", "password": "wrong horse battery"}
    with home.serving("--memory", env=WITH_SECRET) as service:
        assert metrics_of(service)("taskport_password_hashes") == 0
        with ThreadPoolExecutor(12) as threads:
            asked = [
                threads.submit(service.ask, "POST", "/api/auth/login", json=wrong)
                for _ in range(12)
            ]
            wait_until(lambda: metrics_of(service)("taskport_password_hashes") >= 3, 5)
            assert {answer.result().status_code for answer in asked} <= {401, 503}
        wait_until(lambda: metrics_of(service)("taskport_password_hashes") == 0, 5)


@pytest.mark.postgres
def test_two_workers_add_up(home: Home, configured: Environment) -> None:
    """Whichever of them answers, and whichever did the work."""
    token = signed_token()
    with home.serving("--workers=2", env=configured) as service:
        for number in range(30):
            service.create(token, f"task {number}")
        wait_until(lambda: connections(metrics_of(service)) == (6, 24), 10)
        name = "taskport_database_statement_seconds_count"
        # What is done is counted some at a time.
        wait_until(lambda: metrics_of(service)(name, statement="tasks.add") == 30, 2)
        wait_until(lambda: metrics_of(service).requests("POST", TASKS, 201) == 30, 2)
        # Many connections, so that both are asked.
        seen = [metrics_of(service) for _ in range(12)]
        assert {metrics.requests("POST", TASKS, 201) for metrics in seen} == {30}
        assert {metrics(name, statement="tasks.add") for metrics in seen} == {30}
        assert {connections(metrics) for metrics in seen} == {(6, 24)}
        assert not [key for key in seen[0].samples if "pid" in dict(key[1])]


@pytest.mark.postgres
def test_what_a_dead_worker_did_stays_counted(home: Home, configured: Environment) -> None:
    """But the connections that it had are gone, and another takes its place."""
    token = signed_token()
    with home.serving("--workers=2", env=configured) as service:
        for number in range(20):
            service.create(token, f"task {number}")
        wait_until(lambda: connections(metrics_of(service)) == (6, 24), 10)
        wait_until(lambda: metrics_of(service).requests("POST", TASKS, 201) == 20, 2)
        before = metrics_of(service)
        first, _ = workers_of(service)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in workers_of(service) and len(workers_of(service)) == 2, 20)
        # Where nobody forgets it, its connections count still when another has its own.
        wait_until(lambda: connections(metrics_of(service)) == (3, 12), 10)
        wait_until(lambda: connections(metrics_of(service)) == (6, 24), 10)
        after = metrics_of(service)
        assert after.requests("POST", TASKS, 201) == before.requests("POST", TASKS, 201) == 20


def workers_of(service: Service) -> list[int]:
    """The processes that serve; a helper of multiprocessing's is a child as well."""
    listed = subprocess.run(
        ("ps", "-A", "-ww", "-o", "pid=,args="), capture_output=True, text=True, check=True
    )
    commands = (line.split(maxsplit=1) for line in listed.stdout.splitlines())
    family = tree(service.pid)
    return sorted(int(pid) for pid, args in commands if "spawn_main" in args and int(pid) in family)


@pytest.mark.postgres
def test_the_folder_of_the_workers_is_gone_in_the_end(home: Home, configured: Environment) -> None:
    folder = home.folder / "tmp"
    folder.mkdir()
    with home.serving("--workers=2", env={**configured, "TMPDIR": str(folder)}) as service:
        assert len(list(folder.glob("taskport-metrics-*"))) == 1
        assert service.terminate() == 0
    assert not list(folder.iterdir())


def test_reading_does_not_hold_up_others(home: Home) -> None:
    """It takes a while, in a thread."""
    with home.serving("--memory", env=WITH_SECRET) as service:
        ended = threading.Event()

        def read() -> None:
            with service.client(timeout=15) as client:
                while not ended.is_set():
                    assert client.get("/metrics").status_code == 200

        with ThreadPoolExecutor(4) as threads:
            readers = [threads.submit(read) for _ in range(4)]
            try:
                assert all(service.answers("/livez") for _ in range(20))
            finally:
                ended.set()
            for reader in readers:
                reader.result()
