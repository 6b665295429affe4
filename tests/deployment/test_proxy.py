"""The deployed nginx.conf, with TLS, in front of workers; only paths and ports differ."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
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
from tests.waiting import LIMIT_SECONDS, eventually

pytestmark = [pytest.mark.process, pytest.mark.debian, pytest.mark.slow]

NAME: Final = FILLED["ALLOWED_HOSTS"]
TOKEN: Final = signed_token(secret=FILLED["BETTER_AUTH_SECRET"])
HSTS: Final = "strict-transport-security"
#: A header of all responses of the service, and of none of nginx itself.
SERVICE_HEADER: Final = "content-security-policy"


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    http_port: int
    https_port: int
    health_port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def client(self, **options: Any) -> httpx.Client:
        """A client that accepts the self-signed certificate."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return httpx.Client(
            base_url=f"https://127.0.0.1:{self.https_port}",
            headers={"Host": NAME},
            verify=context,
            trust_env=False,
            timeout=LIMIT_SECONDS,
            **options,
        )

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        with self.client() as client:
            request = client.build_request(method, path, **options)
            request.extensions["sni_hostname"] = NAME
            return client.send(request)

    def create(self, title: str, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.request("POST", "/api/tasks", json={"title": title}, headers=headers)

    @property
    def log(self) -> list[dict[str, str]]:
        lines = (self.folder / "access").read_text().splitlines()
        return [json.loads(line) for line in lines]


@contextmanager
def proxied(*workers: int) -> Iterator[Proxy]:
    """Run nginx in front of the workers on these ports; both may be the same."""
    found = program("nginx", "nginx-light", "/usr/sbin")
    openssl = program("openssl", "openssl")
    user = OsUser.choose()
    http, https, health = free_port(), free_port(), free_port()
    with passable_folder() as folder:
        for file in ("error", "access"):
            (folder / file).touch()
            user.own(folder / file)
        subprocess.run(
            [
                *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={NAME}"),
                *("-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"),
            ],
            check=True,
            capture_output=True,
        )
        user.own(folder / "privkey.pem")
        user.own(folder)
        text = nginx()
        first, second = workers
        for deployed, local in (
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
            assert deployed in text
            text = text.replace(deployed, local)
        config = folder / "nginx.conf"
        config.write_text(text)
        command = [str(found), "-c", str(config), "-e", str(folder / "error")]
        checked = subprocess.run(
            [*command, "-t"], capture_output=True, text=True, check=False, **user.options
        )
        assert checked.returncode == 0, checked.stderr
        process = subprocess.Popen(
            [*command, "-g", "daemon off;"], stderr=subprocess.DEVNULL, **user.options
        )
        try:
            eventually(lambda: _listens(https) or process.poll() is not None)
            assert process.poll() is None, (folder / "error").read_text()
            yield Proxy(http, https, health, folder, process)
        finally:
            process.terminate()
            process.wait(LIMIT_SECONDS)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=LIMIT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


@contextmanager
def worker(home: Home, port: int = 0, **settings: str) -> Iterator[Service]:
    """A worker with the deployed settings, but without database and shared counters."""
    variables = services()["taskport-1"]["environment"]
    env = {
        "BETTER_AUTH_SECRET": FILLED["BETTER_AUTH_SECRET"],
        "BETTER_AUTH_URL": FILLED["BETTER_AUTH_URL"],
        "CORS_ORIGINS": FILLED["CORS_ORIGINS"],
        "ALLOWED_HOSTS": NAME,
        "TRUSTED_PROXIES": variables["TRUSTED_PROXIES"],
        "DRAIN_SECONDS": variables["DRAIN_SECONDS"],
        **settings,
    }
    with home.serving("--memory", f"--port={port}", env=env) as service:
        yield service


def port_of(service: Service) -> int:
    port = httpx.URL(service.url).port
    assert port
    return port


@contextmanager
def in_front_of_one_worker(rate_limit: str = "") -> Iterator[tuple[Service, Proxy]]:
    with (
        new_home() as home,
        worker(home, RATE_LIMIT=rate_limit) as service,
        proxied(port_of(service), port_of(service)) as proxy,
    ):
        yield service, proxy


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with in_front_of_one_worker() as (_, proxy):
        yield proxy


def test_http_is_redirected_to_https(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.http_port}/api/tasks?page=2"
    response = httpx.post(url, headers={"Host": NAME}, trust_env=False)
    assert response.status_code == 308
    assert response.headers["location"] == f"https://{NAME}/api/tasks?page=2"
    assert HSTS not in response.headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", f"{NAME}.evil.example"])
def test_other_host_names_get_no_response(proxy: Proxy, host: str) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(
            f"http://127.0.0.1:{proxy.http_port}/livez", headers={"Host": host}, trust_env=False
        )
    with proxy.client() as client, pytest.raises(httpx.ConnectError):
        client.get("/livez", headers={"Host": host})


def test_old_tls_is_rejected(proxy: Proxy) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", proxy.https_port), timeout=LIMIT_SECONDS) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=NAME)


@pytest.mark.parametrize("path", ["/livez", "/api/tasks", "/nowhere", "/metrics", "/docs"])
def test_each_response_has_one_hsts_header(proxy: Proxy, path: str) -> None:
    """Responses of nginx, and those of the service."""
    response = proxy.request("GET", path)
    assert response.headers.get_list(HSTS) == ["max-age=31536000; includeSubDomains"]


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
def test_probe_paths_are_not_reachable_from_outside(proxy: Proxy, path: str) -> None:
    """The response is like one of the service, which does not receive the request."""
    response = proxy.request("GET", path)
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-request-id"] == response.json()["request_id"]
    assert_alike(response, proxy.request("GET", "/api/nowhere"))


def assert_alike(of_proxy: httpx.Response, of_service: httpx.Response) -> None:
    """The error of nginx has the same form as that of the service."""
    body, expected = of_proxy.json(), of_service.json()
    assert (SERVICE_HEADER in of_proxy.headers, SERVICE_HEADER in of_service.headers) == (
        False,
        True,
    )
    assert body.keys() == expected.keys()
    for same in ("error_code", "message", "details", "type", "title", "status", "detail"):
        assert body[same] == expected[same]
    for alike in ("instance", "timestamp"):
        shape = re.sub(r"[0-9a-f]", "x", expected[alike]).split(".")[0].rstrip("Z")
        assert re.sub(r"[0-9a-f]", "x", body[alike]).rstrip("Z") == shape
    assert body["timestamp"].endswith("Z")


@pytest.mark.parametrize("path", ["/livez", "/health", "/docs", "/docs/start.js", "/openapi.json"])
def test_public_paths_are_reachable(proxy: Proxy, path: str) -> None:
    assert proxy.request("GET", path).status_code == 200


def test_encoded_path_does_not_reach_a_probe(proxy: Proxy) -> None:
    """nginx passes the path on as the client sent it."""
    response = proxy.request("GET", "/api/%2e%2e/metrics")
    assert response.status_code == 404
    assert "http_requests_total" not in response.text


def test_too_large_requests_get_the_errors_of_the_service(proxy: Proxy) -> None:
    of_service, of_proxy = proxy.create("x" * 70_000), proxy.create("x" * 2_000_000)
    for response in (of_service, of_proxy):
        assert (response.status_code, response.json()["error_code"]) == (413, "BODY_TOO_LARGE")
    assert_alike(of_proxy, of_service)
    long = {"Authorization": f"Bearer {TOKEN}", "Cookie": f"other={'x' * 20_000}"}
    assert proxy.request("GET", "/api/tasks", headers=long).status_code == 200
    response = proxy.request("GET", "/api/tasks", headers={"X-Long": "x" * 40_000})
    assert (response.status_code, response.json()["error_code"]) == (400, "MALFORMED_REQUEST")


def test_search_terms_are_not_logged(proxy: Proxy) -> None:
    proxy.request(
        "GET", "/api/tasks", params={"q": "a secret plan"}, headers={"Authorization": "Bearer x"}
    )
    eventually(
        lambda: ("/api/tasks", "401") in [(line["path"], line["status"]) for line in proxy.log]
    )
    assert "secret" not in json.dumps(proxy.log)


def test_forged_address_does_not_evade_the_rate_limit() -> None:
    """Requests count by the address of the connection, not by that in a header of the client."""
    with in_front_of_one_worker("3/hour") as (service, proxy):
        statuses = [
            proxy.request(
                "GET", "/api/tasks", headers={"X-Forwarded-For": f"198.51.100.{number}"}
            ).status_code
            for number in range(6)
        ]
        assert statuses == [401, 401, 401, 429, 429, 429]
        # The limit is that of the client, not one for all requests through the proxy.
        url = f"http://127.0.0.1:{port_of(service)}/api/tasks"
        headers = {"Host": NAME, "X-Forwarded-For": "198.51.100.7"}
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 401
        assert "proxy_not_trusted" not in service.err


def test_outage_of_all_workers_is_unavailable() -> None:
    with proxied(free_port(), free_port()) as proxy:
        response = proxy.create("nobody")
        assert (response.status_code, response.json()["error_code"]) == (503, "UNAVAILABLE")
        assert response.headers["retry-after"] == "1"
        assert response.headers[HSTS]
        assert httpx.get(f"http://127.0.0.1:{proxy.health_port}/livez", trust_env=False).is_error


def test_health_check_reaches_a_worker(proxy: Proxy) -> None:
    url = f"http://127.0.0.1:{proxy.health_port}"
    # The host name is not an allowed one, which probe paths ignore.
    assert httpx.get(f"{url}/livez", trust_env=False).status_code == 200
    assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 404


def test_workers_are_replaced_one_by_one_without_errors() -> None:
    """Clients write all the time, and each request succeeds while each worker is restarted."""
    ports = free_port(), free_port()
    failed: list[str] = []
    has_ended = threading.Event()

    def keep_writing(proxy: Proxy) -> None:
        with proxy.client() as client:
            while not has_ended.is_set():
                request = client.build_request(
                    "POST",
                    "/api/tasks",
                    json={"title": "Another"},
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )
                request.extensions["sni_hostname"] = NAME
                response = client.send(request)
                if response.status_code != 201:
                    failed.append(response.text)

    def served_by(proxy: Proxy, port: int) -> int:
        """How many requests a worker has served."""
        return sum(line["worker"].endswith(f":{port}") for line in proxy.log)

    with ExitStack() as stack:
        homes = [stack.enter_context(new_home()) for _ in ports]
        first, second = (
            stack.enter_context(worker(home, port)) for home, port in zip(homes, ports, strict=True)
        )
        proxy = stack.enter_context(proxied(*ports))
        threads = [threading.Thread(target=keep_writing, args=(proxy,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for old, home, port in ((first, homes[0], ports[0]), (second, homes[1], ports[1])):
                eventually(lambda port=port: served_by(proxy, port) > 10)  # type: ignore[misc]
                old.terminate()
                stack.enter_context(worker(home, port))
                # nginx skips a worker for a while after a failed connection.
                served = served_by(proxy, port)
                eventually(lambda port=port, n=served: served_by(proxy, port) > n)  # type: ignore[misc]
        finally:
            has_ended.set()
            for thread in threads:
                thread.join()
        assert not failed


def test_request_in_flight_is_finished_after_the_stop_signal() -> None:
    """The signal is the one that stops the container."""
    stop = signal.Signals[services()["proxy"]["stop_signal"]]
    with in_front_of_one_worker() as (_, proxy):
        body = b'{"title": "late"}'
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection(
                ("127.0.0.1", proxy.https_port), timeout=LIMIT_SECONDS
            ) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            secure.sendall(
                f"POST /api/tasks HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n"
                f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
                + body[:5]
            )
            # Sent only once nginx waits for the body.
            assert secure.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            proxy.process.send_signal(stop)
            eventually(lambda: not _listens(proxy.https_port))
            secure.sendall(body[5:])
            response = b"".join(iter(lambda: secure.recv(65_536), b""))
        assert response.startswith(b"HTTP/1.1 201 ")
        assert proxy.process.wait(LIMIT_SECONDS) == 0


def test_guide_adapts_the_configuration_to_a_machine_without_containers(tmp_path: Path) -> None:
    """With the sed command of the guide; then only paths and ports of this machine differ."""
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
    for path in (
        "/etc/letsencrypt/live/tasks.example.org/",
        "/var/lib/nginx/",
        "/var/log/nginx/",
        "/run/",
    ):
        assert path in text
        text = text.replace(path, f"{tmp_path}/")
    if os.geteuid() != 0:
        text = text.replace("user www-data;", "")
    config = tmp_path / "nginx.conf"
    config.write_text(re.sub(r"listen (80|443) ", r"listen 127.0.0.1:2\1 ", text))
    checked = subprocess.run(
        [found, "-t", "-c", config, "-e", tmp_path / "e"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
