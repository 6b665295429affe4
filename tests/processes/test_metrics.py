"""`/metrics` as Prometheus scrapes it, with one process and with several workers."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import psycopg
import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from tests import deadlines
from tests.processes.service import (
    SECRET,
    Environment,
    Home,
    Service,
    new_home,
    signed_token,
    tree,
)
from tests.waiting import eventually

TASKS: Final = "/api/tasks"
WITH_SECRET: Final = {"BETTER_AUTH_SECRET": SECRET}
OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Metrics:
    """The samples of one response."""

    samples: dict[tuple[str, Labels], float]
    #: The type of each metric, by its name.
    types: dict[str, str]

    def __call__(self, name: str, **labels: str) -> float:
        """The value of a series; 0 if there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0)

    def requests(self, method: str, route: str, status: int) -> float:
        return self("http_requests_total", method=method, route=route, status=str(status))

    def series(self) -> set[tuple[str, Labels]]:
        """The series of the service, without those of the Prometheus client."""
        return {key for key in self.samples if key[0].startswith(("http_", "taskport_"))}


def metrics_of(service: Service) -> Metrics:
    """Scrape any of the workers."""
    response = service.request("GET", "/metrics")
    assert response.status_code == 200, response.text
    samples: dict[tuple[str, Labels], float] = {}
    types = {}
    for family in text_string_to_metric_families(response.text):
        types[family.name] = family.type
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples, f"{key} is there twice"
            samples[key] = sample.value
    return Metrics(samples, types)


def eventually_metrics(service: Service, condition: Callable[[Metrics], bool]) -> Metrics:
    """Scrape until the metrics fulfill a condition: much is counted in batches."""

    def scrape() -> Metrics | None:
        metrics = metrics_of(service)
        return metrics if condition(metrics) else None

    metrics = eventually(scrape)
    assert metrics is not None
    return metrics


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
            service.request("GET", f"{TASKS}/{task_id}", token=token)
        service.request("GET", TASKS)
        service.request("HEAD", TASKS, token=token)
        service.request("GET", "/api/nothing")
        service.request("DELETE", TASKS)
        metrics = eventually_metrics(service, lambda m: m.requests("DELETE", "other", 405) == 1)
    one = f"{TASKS}/{{task_id}}"
    assert metrics.requests("POST", TASKS, 201) == 3
    assert metrics.requests("GET", one, 200) == 3
    assert metrics.requests("GET", one, 404) == 4
    assert metrics.requests("GET", TASKS, 401) == 1
    assert metrics.requests("HEAD", TASKS, 200) == 1
    assert metrics.requests("GET", "other", 404) == 1
    assert metrics("http_request_duration_seconds_count", method="GET", route=one) == 7
    assert metrics("http_request_duration_seconds_sum", method="GET", route=one) > 0
    bucket, labels = "http_request_duration_seconds_bucket", {"method": "GET", "route": one}
    counts = [metrics(bucket, **labels, le=bound) for bound in ("0.001", "0.1", "5.0", "+Inf")]
    assert counts == sorted(counts)
    assert counts[-1] == 7
    assert metrics.types["http_requests"] == "counter"
    assert metrics.types["http_request_duration_seconds"] == "histogram"
    assert metrics.types["taskport_password_hashes"] == "gauge"


def test_openmetrics_is_served_if_accepted(home: Home) -> None:
    """Its parser is the stricter one. Neither format has `_created` series."""
    with home.serving("--memory", env=WITH_SECRET) as service:
        service.request("GET", TASKS)
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


def test_scrapes_need_no_credential_and_count_toward_no_limit(home: Home) -> None:
    """A valid or an invalid credential changes nothing."""
    settings = {**WITH_SECRET, "RATE_LIMIT": "2/hour"}
    with home.serving("--memory", env=settings) as service:
        for token in (None, signed_token(), "bad", None, None):
            response = service.request("GET", "/metrics", token=token)
            assert response.status_code == 200
            assert "ratelimit" not in response.headers
            assert response.headers["cache-control"] == "no-store"
        assert [service.request("GET", TASKS).status_code for _ in range(4)] == [401, 401, 429, 429]
        metrics = metrics_of(service)
    name = "taskport_rate_limit_decisions_total"
    assert metrics(name, limit="requests", decision="allowed") == 2
    assert metrics(name, limit="requests", decision="refused") == 2


def test_limits_of_sign_ins_are_counted(home: Home) -> None:
    settings = {**WITH_SECRET, "AUTH_RATE_LIMIT": "2/hour"}
    wrong = {"email": "ann@example.com", "password": "wrong horse battery"}
    with home.serving("--memory", env=settings) as service:
        statuses = [
            service.request("POST", "/api/auth/login", json=wrong).status_code for _ in range(4)
        ]
        metrics = metrics_of(service)
    assert statuses == [401, 401, 429, 429]
    name = "taskport_rate_limit_decisions_total"
    assert metrics(name, limit="log_ins", decision="allowed") == 2
    assert metrics(name, limit="log_ins", decision="refused") == 2


def test_ten_thousand_different_requests_add_no_series(home: Home) -> None:
    """Ids, paths, methods, parameters and headers that a client makes up become no labels."""
    env = {**WITH_SECRET, **deadlines.environment()}
    with home.serving("--memory", env=env) as service:
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
    """Pipeline a request of each kind for each number on one connection."""
    requests = [
        f"{method} {path.format(n=4711 * n)} HTTP/1.1\r\nHost: x{n}\r\nUser-Agent: canary-{n}\r\n"
        f"X-Request-ID: n{n}\r\n\r\n"
        for n in numbers
        for method, path in KINDS
    ]
    last = "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        service.connect() as connection,
        ThreadPoolExecutor(1) as threads,
    ):
        sending = threads.submit(connection.sendall, "".join([*requests, last]).encode())
        responses = b"".join(iter(lambda: connection.recv(1_000_000), b""))
        sending.result()
    assert responses.count(b"HTTP/1.1 ") == len(requests) + 1


@pytest.mark.postgres
def test_database_is_measured(home: Home, configured: Environment) -> None:
    """Connections, how long statements wait and take, and how many are queued or in flight."""
    token = signed_token()
    name = "taskport_database_statement_seconds"
    with home.serving(env={**configured, **deadlines.environment()}) as service:
        eventually_metrics(service, lambda m: connections(m) == (3, 12))
        service.create(token, "first")
        for _ in range(5):
            service.titles(token)

        def are_counted(metrics: Metrics) -> bool:
            counts = [metrics(f"{name}_count", statement=s) for s in ("tasks.add", "tasks.list")]
            # The first task of a user is added again after its owner.
            return counts == [2, 5]

        metrics = eventually_metrics(service, are_counted)
        assert metrics(f"{name}_sum", statement="tasks.list") > 0
        for lane in ("read", "write"):
            assert metrics("taskport_database_wait_seconds_count", lane=lane) >= 1
        assert metrics.types[name] == metrics.types["taskport_database_wait_seconds"] == "histogram"

        with (
            psycopg.connect(configured["DATABASE_URL"]) as other,
            ThreadPoolExecutor(60) as threads,
        ):
            other.execute("lock table taskport.tasks in access exclusive mode")
            sent = [threads.submit(service.request, "GET", TASKS, token=token) for _ in range(60)]
            eventually_metrics(service, lambda m: pending_statements(m) == (48, 12))
            other.rollback()
            assert {request.result().status_code for request in sent} == {200}
        eventually_metrics(service, lambda m: pending_statements(m) == (0, 0))


def connections(metrics: Metrics) -> tuple[float, float]:
    name = "taskport_database_connections"
    return metrics(name, lane="read"), metrics(name, lane="write")


def pending_statements(metrics: Metrics) -> tuple[float, float]:
    """How many reads are in flight, and how many are queued."""
    name = "taskport_database_statements"
    return (
        metrics(name, lane="read", stage="in_flight"),
        metrics(name, lane="read", stage="queued"),
    )


def test_passwords_in_hashing_are_counted(home: Home) -> None:
    """While they wait or are hashed, and not afterwards."""
    wrong = {"email": "ann@example.com", "password": "wrong horse battery"}
    name = "taskport_password_hashes"
    with home.serving("--memory", env=WITH_SECRET) as service:
        assert metrics_of(service)(name) == 0
        is_seen = threading.Event()

        def log_in_until_seen() -> set[int]:
            statuses = set()
            while not is_seen.is_set():
                statuses.add(service.request("POST", "/api/auth/login", json=wrong).status_code)
            return statuses

        with ThreadPoolExecutor(12) as threads:
            sent = [threads.submit(log_in_until_seen) for _ in range(12)]
            try:
                eventually_metrics(service, lambda m: m(name) >= 3)
            finally:
                is_seen.set()
            assert set().union(*(request.result() for request in sent)) <= {401, 503}
        eventually_metrics(service, lambda m: m(name) == 0)


@pytest.mark.postgres
def test_metrics_of_two_workers_add_up(home: Home, configured: Environment) -> None:
    """Each worker reports the sum of both."""
    token = signed_token()
    name = "taskport_database_statement_seconds_count"
    with home.serving("--workers=2", env=configured) as service:
        for number in range(30):
            service.create(token, f"task {number}")

        def are_counted(metrics: Metrics) -> bool:
            statements = metrics(name, statement="tasks.add")
            # The first task of a user is added again after its owner.
            are_added = (statements, created(metrics)) == (31, 30)
            return connections(metrics) == (6, 24) and are_added

        eventually_metrics(service, are_counted)
        # On connections of their own, so that both workers respond.
        scrapes = [metrics_of(service) for _ in range(12)]
        assert all(are_counted(metrics) for metrics in scrapes)
        assert not [key for key in scrapes[0].samples if "pid" in dict(key[1])]


@pytest.mark.postgres
def test_refusals_of_two_workers_add_up(home: Home, configured: Environment) -> None:
    """Each of the two workers warns once."""
    with home.serving("--workers=2", env=configured) as service:
        for _ in range(30):
            assert service.request("GET", TASKS, token="a.b.c").status_code == 401
        labels = {"error_code": "UNAUTHENTICATED", "reason": "jwt_malformed"}
        eventually_metrics(service, lambda m: m("taskport_refusals_total", **labels) == 30)
        assert 1 <= len(service.events("request_refused")) <= 2
    refused = [line for line in service.events("request") if line["status"] == 401]
    assert [line["reason"] for line in refused] == ["jwt_malformed"] * 30


def created(metrics: Metrics) -> float:
    return metrics.requests("POST", TASKS, 201)


@pytest.mark.postgres
def test_counts_of_a_dead_worker_are_kept(home: Home, configured: Environment) -> None:
    """But its connections are no longer counted once another worker has replaced it."""
    token = signed_token()
    with home.serving("--workers=2", env={**configured, "LOG_LEVEL": "info"}) as service:
        for number in range(20):
            service.create(token, f"task {number}")
        eventually_metrics(service, lambda m: connections(m) == (6, 24) and created(m) == 20)
        first, _ = workers_of(service)
        os.kill(first, signal.SIGKILL)
        # The third worker that has all of its connections is the one that replaces the first.
        eventually(lambda: service.connected_workers() == 3)
        metrics = eventually_metrics(service, lambda m: connections(m) == (6, 24))
        assert created(metrics) == 20
        assert first not in workers_of(service)


def workers_of(service: Service) -> list[int]:
    """The worker processes, without the resource tracker of multiprocessing."""
    listed = subprocess.run(
        ("ps", "-A", "-ww", "-o", "pid=,args="), capture_output=True, text=True, check=True
    )
    commands = (line.split(maxsplit=1) for line in listed.stdout.splitlines())
    family = tree(service.pid)
    return sorted(int(pid) for pid, args in commands if "spawn_main" in args and int(pid) in family)


@pytest.mark.postgres
def test_shared_metrics_folder_is_removed_at_the_end(home: Home, configured: Environment) -> None:
    folder = home.folder / "tmp"
    folder.mkdir()
    with home.serving("--workers=2", env={**configured, "TMPDIR": str(folder)}) as service:
        assert len(list(folder.glob("taskport-metrics-*"))) == 1
        assert service.terminate() == 0
    assert not list(folder.iterdir())


def test_scrapes_do_not_block_other_requests(home: Home) -> None:
    """Metrics are rendered in a thread."""
    with home.serving("--memory", env=WITH_SECRET) as service:
        ended = threading.Event()

        def read() -> None:
            with service.client() as client:
                while not ended.is_set():
                    assert client.get("/metrics").status_code == 200

        with ThreadPoolExecutor(4) as threads:
            readers = [threads.submit(read) for _ in range(4)]
            try:
                assert all(service.responds("/livez") for _ in range(20))
            finally:
                ended.set()
            for reader in readers:
                reader.result()
