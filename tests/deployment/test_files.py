"""The files of `deploy/` agree with the settings, routes, commands, repository and each other."""

import ipaddress
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg.pq
import pytest
import typer.main
from fastapi import FastAPI

from adapters.asgi.body import BODY_MAX_BYTES
from adapters.asgi.deadline import REQUEST_SECONDS
from adapters.asgi.request_record import PROBE_PATHS
from adapters.uvicorn import protocol
from entrypoints import cli, serving
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.deployment import files
from tests.deployment.files import (
    DEPLOY,
    FILLED,
    GUIDE,
    ROOT,
    Service,
    command,
    directives,
    environment,
    example,
    filled,
    from_yaml,
    pgbouncer,
    seconds,
    services,
    stages,
    unit,
)
from tests.requirements import program

SERVICES: Final = services()
STAGES: Final = stages()
OURS: Final = [
    name for name, service in SERVICES.items() if service["image"].startswith("taskport:")
]
WORKERS: Final = [name for name in OURS if command(SERVICES[name])[0] == "serve"]
SETTINGS: Final = {name.upper() for name in Settings.model_fields}
#: Variables from the documentation of the images.
OF_IMAGES: Final = {
    "postgres": {"POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_INITDB_ARGS"},
    "redis": {"REDISCLI_AUTH"},
}
_SECRET: Final = re.compile(r"PASSWORD|SECRET|_AUTH$")
#: The largest number of database connections of a worker.
CONNECTIONS: Final = 19


def load(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def parse(words: Sequence[str]) -> None:
    """Parse the arguments of `taskport`. Raises `click.UsageError` if they are invalid."""
    group: Any = typer.main.get_command(cli.app)
    name, *rest = words
    assert name in group.commands, name
    group.commands[name].make_context(name, list(rest))


def ports_of(service: str) -> set[int]:
    """The ports on which a service listens in its container."""
    if service in OURS:
        return {Settings.model_fields["api_port"].default}
    if service == "pgbouncer":
        return {int(pgbouncer()["pgbouncer"]["listen_port"])}
    if service == "redis":
        return {
            int(port) for port in re.findall(r"--port (\d+)", " ".join(command(SERVICES[service])))
        }
    if service == "proxy":
        return {int(p) for p in re.findall(r"listen (?:[\d.]+:)?(\d+)", files.nginx())}
    assert service == "postgres"
    return {5432}


def calls() -> Iterator[tuple[str, str, int]]:
    """Each calling service, with the host and the port that it connects to."""
    for name, service in SERVICES.items():
        variables = environment(service)
        for value in variables.values():
            parts = urlsplit(value)
            if parts.scheme in ("postgresql", "redis"):
                yield name, str(parts.hostname), parts.port or 0
        if "PGHOST" in variables:
            yield name, variables["PGHOST"], int(variables["PGPORT"])
    for server in directives("server"):
        host, port = server.split()[0].split(":")
        yield "proxy", host, int(port)
    for database in pgbouncer()["databases"].values():
        parameters = dict(pair.split("=") for pair in database.split())
        yield "pgbouncer", parameters["host"], int(parameters["port"])


def networks(service: Service) -> set[str]:
    return set(service.get("networks", ()))


def dependencies(name: str) -> set[str]:
    """All services that must be started before this one."""
    found: set[str] = set()
    for other in SERVICES[name].get("depends_on", {}):
        found |= {other} | dependencies(other)
    return found


def test_two_workers_behind_a_proxy() -> None:
    assert len(WORKERS) == 2
    assert set(SERVICES) - set(OURS) == {"postgres", "pgbouncer", "redis", "grants", "proxy"}


@pytest.mark.parametrize("name", OURS)
def test_variables_of_our_services_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = environment(SERVICES[name])
    assert set(variables) <= SETTINGS
    settings = load(variables, monkeypatch)
    assert settings.url is not None


@pytest.mark.parametrize("name", WORKERS)
def test_settings_of_the_workers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(environment(SERVICES[name]), monkeypatch)
    assert settings.trusted_proxies == 1
    assert settings.allowed_hosts == tuple(set(directives("server_name")))
    assert settings.rate_limit_storage.startswith("redis://")
    assert (
        settings.rate_limit == Settings.model_fields["rate_limit"].default
        or not settings.rate_limit
    )
    assert not settings.debug


@pytest.mark.parametrize("name", SERVICES)
def test_other_variables_are_known_to_the_image(name: str) -> None:
    if name in OURS:
        return
    variables = set(environment(SERVICES[name]))
    image = SERVICES[name]["image"].split(":")[0]
    known = set(OF_IMAGES.get(image, ()))
    if name == "grants":
        known = {
            option.envvar.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.envvar
        }
    if name == "postgres":
        known |= set(re.findall(r"\\getenv \w+ (\w+)", (DEPLOY / "roles.sql").read_text()))
    if name == "pgbouncer":
        known |= set(re.findall(r"\$(\w+)", " ".join(command(SERVICES[name]))))
    assert variables <= known


def test_example_has_the_variables_of_the_compose_file() -> None:
    required = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    assert required == set(example()) == set(FILLED)
    # No variable has a default.
    assert not re.findall(r"\$\{\w+(?!\w*:\?\})", (DEPLOY / "compose.yaml").read_text())


def test_no_file_contains_a_secret() -> None:
    for name, value in example().items():
        assert not (_SECRET.search(name) and value), name
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if _SECRET.search(name):
                assert re.fullmatch(r"\$\{\w+:\?\}", value), name
            password = urlsplit(value).password if "://" in value else None
            assert password is None or password.startswith("${"), name
        # Commands are visible in the list of processes.
        assert not any(
            _SECRET.search(w)
            for word in service.get("command", [])
            for w in re.findall(r"\$\{(\w+)", word)
        )
    for stage in STAGES.values():
        assert not any(_SECRET.search(line) for line in stage.all("ENV") + stage.all("ARG"))


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert example()["TASKPORT_VERSION"] == project["version"]


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    if "build" in SERVICES[name]:
        assert image.endswith(":${TASKPORT_VERSION:?}")
        build = SERVICES[name]["build"]
        assert (
            DEPLOY / build["context"] / build["dockerfile"]
        ).resolve() == DEPLOY / "Containerfile"
        assert build["target"] in STAGES
    else:
        assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?-bookworm", image)


@pytest.mark.parametrize("name", STAGES)
def test_stage_of_the_containerfile(name: str) -> None:
    stage = STAGES[name]
    assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?-[a-z-]+", stage.base)
    assert not stage.all("USER")[-1].startswith(("root", "0"))
    assert int(stage.all("EXPOSE")[0]) in ports_of("pgbouncer" if name == "pgbouncer" else OURS[0])
    for source, _ in stage.copied():
        assert (ROOT / source).exists(), source
        assert not files.is_excluded(source), source
    for run in stage.all("RUN"):
        assert "http" not in run
        if "requirements.txt" in run:
            assert "--require-hashes" in run


def test_image_has_all_packages() -> None:
    copied = dict(STAGES["taskport"].copied())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert {*packages, "alembic", "pyproject.toml", "requirements.txt", "README.md"} <= set(copied)
    for name in (*packages, "alembic"):
        assert copied[name] == f"./{name}"
    python = re.match(r"python:(\d+)\.(\d+)", STAGES["taskport"].base)
    assert python and (int(python[1]), int(python[2])) >= (3, 11)


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "deploy/.env",
        ".data",
        ".git",
        ".venv",
        "tests",
        "adapters/__pycache__",
        "domain/.env",
    ],
)
def test_path_is_excluded_from_the_image(path: str) -> None:
    assert files.is_excluded(path)


@pytest.mark.process
def test_copied_files_suffice(tmp_path: Path) -> None:
    """The packages, with the migrations beside them."""
    for source, target in STAGES["taskport"].copied():
        path = tmp_path / target
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, path)
    code = (
        "from adapters.postgres.schema import _older_revisions, _SCRIPTS;"
        "import entrypoints.cli, pathlib;"
        "assert _SCRIPTS.parent == pathlib.Path.cwd(), _SCRIPTS;"
        "assert _older_revisions();"
        "entrypoints.cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr


def test_every_command_is_valid() -> None:
    for name in OURS:
        parse(command(SERVICES[name]))
    assert STAGES["taskport"].all("ENTRYPOINT") == ['["taskport"]']
    parse(from_yaml(STAGES["taskport"].all("CMD")[0]))
    [start] = unit()["ExecStart"]
    parse(start.replace("%i", "8001").split()[1:])
    assert "--no-migrate" in start


def test_every_command_of_the_guide_is_valid() -> None:
    found = list(files.guide_commands("taskport"))
    assert len(found) >= 8
    for words in found:
        parse(words)


@pytest.mark.parametrize(("caller", "host", "port"), sorted(set(calls())))
def test_called_service_is_reachable(caller: str, host: str, port: int) -> None:
    assert host in SERVICES
    assert port in ports_of(host)
    assert networks(SERVICES[caller]) & networks(SERVICES[host])
    assert host in dependencies(caller)


@pytest.mark.parametrize("name", SERVICES)
def test_conditions_of_dependencies_can_be_met(name: str) -> None:
    for other, dependency in SERVICES[name].get("depends_on", {}).items():
        if dependency["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        else:
            assert dependency["condition"] == "service_completed_successfully"
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_container_has_few_privileges(name: str) -> None:
    service = SERVICES[name]
    user = service.get("user") or STAGES[service["build"]["target"]].all("USER")[-1]
    assert not user.startswith(("0", "root"))
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert all(v.endswith(":ro") for v in service.get("volumes", ()) if "postgres:" not in v)
    assert ("ports" in service) == (name == "proxy")


def test_only_the_proxy_is_reachable_from_outside() -> None:
    for published in SERVICES["proxy"]["ports"]:
        outside, inside = published.split(":")
        assert int(inside) in ports_of("proxy")
        assert outside in ("80", "443")
    declared = files.compose()["networks"]
    assert declared["data"] == {"internal": True}
    assert networks(SERVICES["proxy"]) == {"web"}
    subnet = ipaddress.ip_network(declared["web"]["ipam"]["config"][0]["subnet"])
    addresses = [SERVICES[name]["networks"]["web"]["ipv4_address"] for name in (*WORKERS, "proxy")]
    assert len(set(addresses)) == 3
    assert all(ipaddress.ip_address(address) in subnet for address in addresses)


def test_mounted_files_exist() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (DEPLOY / source).is_file()


@pytest.fixture(scope="module")
def app() -> FastAPI:
    return from_settings(Settings(better_auth_secret=FILLED["BETTER_AUTH_SECRET"]))


@pytest.mark.parametrize("name", WORKERS)
def test_health_check_is_a_probe_path(name: str, app: FastAPI) -> None:
    """The rate limit and ALLOWED_HOSTS exempt it."""
    check = " ".join(SERVICES[name]["healthcheck"]["test"])
    found = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", check)
    assert found
    assert int(found[1]) in ports_of(name)
    assert found[2] in PROBE_PATHS
    assert found[2] in app.openapi()["paths"]


def test_proxy_passes_on_every_path_but_internal_probes(app: FastAPI) -> None:
    prefixes = re.findall(r"location (/[\w/]+) \{\s+proxy_pass", files.nginx())
    pattern = re.search(r"location ~ (\S+) \{", files.nginx())
    assert pattern
    inside = set()
    for path in [*app.openapi()["paths"], "/docs", "/docs/swagger-ui.css", "/openapi.json"]:
        if not re.search(pattern[1], path) and not path.startswith(tuple(prefixes)):
            inside.add(path)
    assert inside == {"/readyz", "/health/db", "/metrics"} == PROBE_PATHS - {"/health", "/livez"}


def test_timeouts_of_the_proxy_exceed_those_of_the_service() -> None:
    [reading] = directives("proxy_read_timeout")
    [sending] = directives("proxy_send_timeout")
    assert seconds(reading) > REQUEST_SECONDS
    assert seconds(sending) > REQUEST_SECONDS
    [body] = directives("client_max_body_size")
    assert body == "1m"
    assert BODY_MAX_BYTES < 2**20
    [buffers] = directives("large_client_header_buffers")
    assert int(buffers.split()[1].removesuffix("k")) * 1024 >= protocol.HEAD_MAX_BYTES
    assert not directives("keepalive")
    [shutdown] = directives("worker_shutdown_timeout")
    assert seconds(shutdown) > REQUEST_SECONDS


def test_worker_is_not_killed_while_it_drains() -> None:
    for name in WORKERS:
        draining = float(environment(SERVICES[name])["DRAIN_SECONDS"])
        stopping = seconds(SERVICES[name]["stop_grace_period"])
        assert stopping > draining + serving.GRACEFUL_SHUTDOWN_SECONDS
    [setting] = [line for line in unit()["Environment"] if line.startswith("DRAIN_SECONDS")]
    assert (
        int(unit()["TimeoutStopSec"][0])
        > int(setting.split("=")[1]) + serving.GRACEFUL_SHUTDOWN_SECONDS
    )


def test_pooler_has_enough_connections() -> None:
    config = pgbouncer()["pgbouncer"]
    assert config["pool_mode"] == "transaction"
    assert int(config["max_client_conn"]) >= len(WORKERS) * CONNECTIONS
    # PostgreSQL allows 100 connections, and the owner needs some.
    assert int(config["default_pool_size"]) <= 80
    assert f"{CONNECTIONS}" in GUIDE.read_text()


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """With another path of the program."""
    analyze = program("systemd-analyze", "systemd")
    [start] = unit()["ExecStart"]
    text = (DEPLOY / "taskport@.service").read_text().replace(start.split()[0], "/bin/true")
    (tmp_path / "taskport@8001.service").write_text(text)
    done = subprocess.run(
        [analyze, "verify", tmp_path / "taskport@8001.service"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "taskport@8001" not in done.stderr, done.stderr


def test_kubernetes_deployment_of_the_guide(app: FastAPI) -> None:
    """The probes are routes, the port is that of the service, the grace period is long enough."""
    [deployment] = [from_yaml(block) for block in files.guide_blocks("yaml")]
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    parse(container["args"])
    variables = {variable["name"]: variable.get("value") for variable in container["env"]}
    assert set(variables) <= SETTINGS
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert container[probe]["httpGet"] == {"path": path, "port": 8000}
        assert path in app.openapi()["paths"]
    ready = container["readinessProbe"]
    draining = float(str(variables["DRAIN_SECONDS"]))
    assert draining > ready["periodSeconds"] * ready["failureThreshold"]
    assert pod["terminationGracePeriodSeconds"] > draining + serving.GRACEFUL_SHUTDOWN_SECONDS
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["securityContext"] == {"runAsNonRoot": True, "runAsUser": 10001}


def test_guide_names_every_file() -> None:
    text = GUIDE.read_text()
    for path in DEPLOY.iterdir():
        if path.name != ".env":
            assert path.name in text, path.name
    assert filled("$$${BETTER_AUTH_SECRET:?}") == f"${FILLED['BETTER_AUTH_SECRET']}"
