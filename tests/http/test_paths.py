"""Unknown methods and paths, HEAD, and the docs page."""

from typing import Final

from fastapi import FastAPI
from starlette.routing import Route

from tests.http.backend import Backend
from tests.http.client import ORIGIN, problem_of, send_request
from tests.http.common_headers import assert_common_headers
from tests.http.credentials import access_token, bearer
from tests.http.scenario import Scenario


def methods_by_path(app: FastAPI) -> dict[str, set[str]]:
    """The methods of each path."""
    methods: dict[str, set[str]] = {}
    for route in app.routes:
        assert isinstance(route, Route)
        methods.setdefault(route.path, set()).update(route.methods or ())
    return methods


def example_path(path: str) -> str:
    return path.format(task_id=1, session_id="s", name="start.js")


METHODS: Final = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"),
    *("PROPFIND", "QUERY", "BREW", "get", "X" * 1_000),
)


async def test_unknown_methods_of_every_path(app: FastAPI) -> None:
    """405 with `Allow`: the methods of all routes of the path together."""
    for path, methods in methods_by_path(app).items():
        served = methods | ({"HEAD"} if "GET" in methods else set())
        for method in METHODS:
            if method in served:
                continue
            headers = [("Origin", ORIGIN), ("X-HTTP-Method-Override", next(iter(methods)))]
            response = await send_request(app, method, example_path(path), headers)
            assert response.status_code == 405, (method, path)
            assert response.headers.get_list("allow") == [", ".join(sorted(served))]
            assert response.headers["cache-control"] == "no-store"
            assert_common_headers(response)
            if method != "HEAD":
                assert problem_of(response)["error_code"] == "METHOD_NOT_ALLOWED"


async def test_unknown_paths(app: FastAPI) -> None:
    """No path redirects, because of a slash or by the name in `Host`."""
    paths = {example_path(path) for path in methods_by_path(app)}
    unknown = {f"{path}/" for path in paths} | {f"/{path}" for path in paths} | {"", "/", "//", "*"}
    unknown |= {f"{path}//" for path in paths} | {path.upper() for path in paths}
    unknown |= {f"{path}\n" for path in paths} | {f"{path}/.." for path in paths}
    unknown |= {"//evil.example", "/\\evil.example", "/api/tasks/1/../2", "/.env", "/api/../health"}
    unknown |= {"/docs/../../pyproject.toml", "/docs/swagger-ui.css/", "/admin", "/api/tasks/1/x"}
    unknown |= {"/\u0000", "/\udcff".encode("utf-8", "replace").decode(), "/" + "a/" * 5_000}
    for path in unknown - paths:
        for method in ("GET", "POST"):
            response = await send_request(
                app, method, path, [("Origin", ORIGIN)], host="evil.example"
            )
            if response.status_code != 404:
                # The path has the form of an id.
                assert response.status_code in (401, 405), (method, path)
            if response.status_code == 404:
                assert problem_of(response)["error_code"] == "NOT_FOUND"
            assert "location" not in response.headers
            assert "evil.example" not in response.text
            assert response.headers["cache-control"] == "no-store"
            assert_common_headers(response)


async def test_head_has_the_headers_of_get(backend: Backend, app: FastAPI) -> None:
    """And no body."""
    scenario = Scenario(backend)
    for path, methods in methods_by_path(app).items():
        if "GET" not in methods:
            continue
        for query in ("", "unknown=1"):
            headers = [*bearer(access_token(scenario.session)), ("Origin", ORIGIN)]
            url = path.format(task_id=scenario.task.id, name="start.js")
            got, head = [
                await send_request(app, method, url, headers, query=query)
                for method in ("GET", "HEAD")
            ]
            assert head.status_code == got.status_code
            assert head.content == b""
            ignored = {"x-request-id", "content-length"}
            assert {k: v for k, v in head.headers.items() if k not in ignored} == {
                k: v for k, v in got.headers.items() if k not in ignored
            }
            assert "content-length" in head.headers
            if path != "/docs" or query:
                assert_common_headers(got)


async def test_docs_page(app: FastAPI) -> None:
    """It runs only scripts of its own; its assets can be cached."""
    page = await send_request(app, "GET", "/docs", [("Origin", ORIGIN)])
    policy = page.headers["content-security-policy"]
    assert_common_headers(page, policy)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert (rules["default-src"], rules["script-src"]) == ("'none'", "'self'")
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    assert "http" not in page.text.replace("<!doctype html>", "")
    for name in ("start.js", "swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"):
        asset = await send_request(app, "GET", f"/docs/{name}", [("Origin", ORIGIN)])
        assert asset.status_code == 200
        assert asset.headers["cache-control"].startswith("public")
        assert_common_headers(asset)
