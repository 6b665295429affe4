"""The very nginx.conf, with TLS, before two workers; only places and ports are others."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from adapters.postgres_server.loopback import free_port
from adapters.postgres_server.os_user import OsUser
from tests.deployment.files import FILLED, GUIDE, ROOT, nginx, services
from tests.processes.service import Home, Service, new_home, signed_token
from tests.requirements import program
from tests.servers import passable_folder
from tests.waiting import eventually

pytestmark = [pytest.mark.process, pytest.mark.debian, pytest.mark.slow]

NAME: Final = FILLED["ALLOWED_HOSTS"]
TOKEN: Final = signed_token(secret=FILLED["BETTER_AUTH_SECRET"])
HSTS: Final = "strict-transport-security"
# A header that all answers of the service have, and none of nginx's own.
OF_A_WORKER: Final = "content-security-policy"


@dataclass(frozen=True)
class Proxy:
    """It listens for HTTP and for HTTPS."""

    http_port: int
    https_port: int
    health_port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: Any) -> httpx.Client:
        """Of the certificate only that there is one: it is nobody's."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https_port}",
            headers={"Host": NAME},
            verify=context,
            trust_env=False,
            timeout=15,
            **options,
        )

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            request = client.build_request(method, path, **options)
            request.extensions["sni_hostname"] = NAME
            return client.send(request)

    def create(self, title: str, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.ask("POST", "/api/tasks", json={"title": title}, headers=headers)

    @property
    def log(self) -> list[dict[str, str]]:
        lines = (self.folder / "access").read_text().splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def proxied(*workers: int) -> Iterator[Proxy]:
    """nginx before what listens on these ports; both may be the same."""
    found = program("nginx", "nginx-light", "/usr/sbin")
    openssl = program("openssl", "openssl")
    account = OsUser.choose()
    http, https, health = free_port(), free_port(), free_port()
    with passable_folder() as folder:
        for file in ("error", "access"):
            (folder / file).touch()
            account.own(folder / file)
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={NAME}"),
                *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
            ],
            check=True,
            capture_output=True,
        )
        account.own(folder / "privkey.pem")
        account.own(folder)
        text = nginx()
        first, second = workers
        for there, here in (
            ("/tmp/", f"{folder}/"),
            ("/etc/nginx/tls/", f"{folder}/"),
            ("/dev/stderr", f"{folder}/error"),
            ("/dev/stdout", f"{folder}/access"),
            ("taskport-1:8000", f"127.0.0.1:{first}"),
            ("taskport-2:8000", f"127.0.0.1:{second}"),
            ("listen 127.0.0.1:8081", f"listen 127.0.0.1:{health}"),
            ("listen 8080", f"listen 127.0.0.1:{http}"),
            ("listen 8443", f"listen 127.0.0.1:{https}"),
        ):
            assert there in text
            text = text.replace(there, here)
        config = folder / "nginx.conf"
        config.write_text(text)
        command = [str(found), "-c", str(config), "-e", str(folder / "error")]
        tried = subprocess.run(
            [*command, "-t"], capture_output=True, text=True, check=False, **account.options
        )
        assert tried.returncode == 0, tried.stderr
        process = subprocess.Popen(
            [*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL, **account.options
        )
        try:
            eventually(lambda: _listens(https) or process.poll() is not None)
            assert process.poll() is None, (folder / "error").read_text()
            yield Proxy(http, https, health, folder, process)
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def worker(home: Home, port: int = 0, **settings: str) -> Iterator[Service]:
    """With the settings of the file, but for the database and the shared counters."""
    said = services()["taskport-1"]["environment"]
    env = {
        "BETTER_AUTH_SECRET": FILLED["BETTER_AUTH_SECRET"],
        "BETTER_AUTH_URL": FILLED["BETTER_AUTH_URL"],
        "CORS_ORIGINS": FILLED["CORS_ORIGINS"],
        "ALLOWED_HOSTS": NAME,
        "TRUSTED_PROXIES": said["TRUSTED_PROXIES"],
        "DRAIN_SECONDS": said["DRAIN_SECONDS"],
        **settings,
    }
    with home.serving("--memory", f"--port={port}", env=env) as service:
        yield service


def port_of(service: Service) -> int:
    port = httpx.URL(service.url).port
    assert port
    return port


@contextmanager
def before_one_worker(rate_limit: str = "") -> Iterator[tuple[Service, Proxy]]:
    with (
        new_home() as home,
        worker(home, RATE_LIMIT=rate_limit) as service,
        proxied(port_of(service), port_of(service)) as proxy,
    ):
        yield service, proxy


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with before_one_worker() as (_, proxy):
        yield proxy


def test_http_leads_to_https(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.http_port}/api/tasks?page=2"
    answer = httpx.post(url, headers={"Host": NAME}, trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"] == f"https://{NAME}/api/tasks?page=2"
    assert HSTS not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", f"{NAME}.evil.example"])
def test_by_another_name_nobody_answers(proxy: Proxy, host: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(
            f"http://127.0.0.1:{proxy.http_port}/livez", headers={"Host": host}, trust_env=False
        )
    with proxy.client() as client, pytest.raises(httpx.ConnectError):
        client.get("/livez", headers={"Host": host})


def test_old_tls_is_refused(proxy: Proxy) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", proxy.https_port), timeout=10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=NAME)


@pytest.mark.parametrize("path", ["/livez", "/api/tasks", "/nowhere", "/metrics", "/docs"])
def test_https_alone_from_then_on(proxy: Proxy, path: str) -> None:
    """Said once, whoever answers."""
    answer = proxy.ask("GET", path)
    assert answer.headers.get_list(HSTS) == ["max-age=31536000; includeSubDomains"]


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/readyz",
        "/health/db",
        "/health%2Fdb",
        "//metrics",
        "/./metrics",
        "/api/../metrics",
        "/%6detrics",
        "/METRICS",
        "/metrics/",
        "/docs/../readyz",
        "/nowhere",
    ],
)
def test_what_is_for_those_inside_stays_inside(proxy: Proxy, path: str) -> None:
    """And the refusal is like any other; the worker has not been asked."""
    answer = proxy.ask("GET", path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    is_like_another(answer, proxy.ask("GET", "/api/nowhere"))


def is_like_another(proxys: httpx.Response, services: httpx.Response) -> None:
    """Nobody sees who refused."""
    own, theirs = proxys.json(), services.json()
    assert (OF_A_WORKER in proxys.headers, OF_A_WORKER in services.headers) == (False, True)
    assert own.keys() == theirs.keys()
    for same in ("error_code", "message", "details", "type", "title", "status", "detail"):
        assert own[same] == theirs[same]
    for alike in ("instance", "timestamp"):
        shape = re.sub(r"[0-9a-f]", "x", theirs[alike]).split(".")[0].rstrip("Z")
        assert re.sub(r"[0-9a-f]", "x", own[alike]).rstrip("Z") == shape
    assert own["timestamp"].endswith("Z")


@pytest.mark.parametrize("path", ["/livez", "/health", "/docs", "/docs/start.js", "/openapi.json"])
def test_what_is_for_all_is_reached(proxy: Proxy, path: str) -> None:
    assert proxy.ask("GET", path).status_code == 200


def test_a_rewritten_path_reaches_no_watchers_route(proxy: Proxy) -> None:
    """What nginx lets pass as `/api/…` goes on as it was written."""
    answer = proxy.ask("GET", "/api/%2e%2e/metrics")
    assert answer.status_code == 404
    assert "http_requests_total" not in answer.text


def test_the_service_itself_refuses_what_is_too_large(proxy: Proxy) -> None:
    services, proxys = proxy.create("x" * 70_000), proxy.create("x" * 2_000_000)
    for answer in (services, proxys):
        assert (answer.status_code, answer.json()["error_code"]) == (413, "BODY_TOO_LARGE")
    is_like_another(proxys, services)
    long = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"other={'x' * 20_000}"}
    assert proxy.ask("GET", "/api/tasks", headers=long).status_code == 200
    answer = proxy.ask("GET", "/api/tasks", headers={"X-Long": "x" * 40_000})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_what_people_search_for_is_not_logged(proxy: Proxy) -> None:
    proxy.ask(
        "GET", "/api/tasks", params={"q": "a secret plan"}, headers={"Authorization": "Bearer x"}
    )
    eventually(
        lambda: ("/api/tasks", "401") in [(line["path"], line["status"]) for line in proxy.log]
    )
    assert "secret" not in json.dumps(proxy.log)


def test_a_forged_address_gains_nothing() -> None:
    """The limit counts by the address that the proxy saw, whatever a client claims."""
    with before_one_worker("3/minute") as (service, proxy):
        statuses = [
            proxy.ask(
                "GET", "/api/tasks", headers={"X-Forwarded-For": f"198.51.100.{number}"}
            ).status_code
            for number in range(6)
        ]
        assert statuses == [401, 401, 401, 429, 429, 429]
        # It is the proxy that says so, and not that all who come through it are one.
        own = f"http://127.0.0.1:{port_of(service)}/api/tasks"
        headers = {"Host": NAME, "X-Forwarded-For": "198.51.100.7"}
        assert httpx.get(own, headers=headers, trust_env=False).status_code == 401
        assert "proxy_not_trusted" not in service.err


def test_an_outage_is_answered_like_any_other() -> None:
    with proxied(free_port(), free_port()) as proxy:
        answer = proxy.create("nobody")
        assert (answer.status_code, answer.json()["error_code"]) == (503, "UNAVAILABLE")
        assert answer.headers["retry-after"] == "1"
        assert answer.headers[HSTS]
        assert httpx.get(f"http://127.0.0.1:{proxy.health_port}/livez", trust_env=False).is_error


def test_the_health_check_asks_a_worker(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.health_port}"
    # It is not one of the names of the service, which its own routes for watchers do not mind.
    assert httpx.get(f"{url}/livez", trust_env=False).status_code == 200
    assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 404


def test_workers_are_replaced_one_by_one_and_nobody_notices() -> None:
    """Changes come all the time; each is answered, though each worker goes, and comes again."""
    ports = free_port(), free_port()
    wrong: list[str] = []
    done = threading.Event()
    counted = 0

    def write(proxy: Proxy) -> None:
        nonlocal counted
        with proxy.client() as client:
            while not done.is_set():
                request = client.build_request(
                    "POST",
                    "/api/tasks",
                    json={"title": "Another"},
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
                request.extensions["sni_hostname"] = NAME
                answer = client.send(request)
                counted += 1
                if answer.status_code != 201:
                    wrong.append(answer.text)

    with ExitStack() as stack:
        homes = [stack.enter_context(new_home()) for _ in ports]
        first, second = (
            stack.enter_context(worker(home, port)) for home, port in zip(homes, ports, strict=True)
        )
        proxy = stack.enter_context(proxied(*ports))
        threads = [threading.Thread(target=write, args=(proxy,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for old, home, port in ((first, homes[0], ports[0]), (second, homes[1], ports[1])):
                old.terminate()
                stack.enter_context(worker(home, port))
                # For as long as nginx leaves out one that it found dead.
                time.sleep(5.5)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert not wrong
        assert counted > 100
        asked = {line["worker"] for line in proxy.log if "," not in line["worker"]}
        assert len(asked) == 2


def test_it_stops_when_it_has_answered() -> None:
    """By the signal that the container is stopped with."""
    stop = signal.Signals[services()["proxy"]["stop_signal"]]
    with before_one_worker() as (_, proxy):
        body = b'{"title": "late"}'
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", proxy.https_port), timeout=15) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            secure.sendall(
                f"POST /api/tasks HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body[:5]
            )
            time.sleep(0.3)
            proxy.process.send_signal(stop)
            eventually(lambda: not _listens(proxy.https_port))
            secure.sendall(body[5:])
            answer = b"".join(iter(lambda: secure.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 201 ")
        assert proxy.process.wait(10) == 0


def test_the_guide_makes_it_one_for_a_machine_without_containers(tmp_path: Path) -> None:
    """By its own sed; then only what may not be touched here is another."""
    found = program("nginx", "nginx-light", "/usr/sbin")
    openssl = program("openssl", "openssl")
    [shell] = re.findall(
        r"^sed -e '1i user.*?deploy/nginx.conf(?= > /etc)",
        GUIDE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    done = subprocess.run(
        ["bash", "-euc", shell],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"NAME": "tasks.example.org", "PATH": os.defpath},
    )
    text = done.stdout
    assert "example.com" not in text
    assert re.findall(r"server 127.0.0.1:(\d+)", text) == ["8001", "8002"]
    assert set(re.findall(r"listen ([\d.:]+)", text)) == {"80", "443", "127.0.0.1:8081"}
    assert not re.search(r"/tmp/|/dev/", text)
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"),
            *("-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem"),
        ],
        check=True,
        capture_output=True,
    )
    for there in (
        "/etc/letsencrypt/live/tasks.example.org/",
        "/var/lib/nginx/",
        "/var/log/nginx/",
        "/run/",
    ):
        assert there in text
        text = text.replace(there, f"{tmp_path}/")
    if os.geteuid() != 0:
        text = text.replace("user www-data;", "")
    config = tmp_path / "nginx.conf"
    config.write_text(re.sub(r"listen (80|443) ", r"listen 127.0.0.1:2\1 ", text))
    tried = subprocess.run(
        [found, "-t", "-c", config, "-e", tmp_path / "e"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert tried.returncode == 0, tried.stderr
