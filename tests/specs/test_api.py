"""`api-spec.md` and `routes-spec.md`: every operation, and what it answers."""

import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

import pytest
from fastapi import FastAPI

from adapters.http.routing import DirectRoute
from application.use_cases import UseCases
from entrypoints.app import from_settings
from entrypoints.settings import Settings
from tests.http.client import SECRET
from tests.specs.markdown import SPECS, Document, Section, code, codes, document, rows

API: Final = document(SPECS / "api-spec.md")
ROUTES: Final = document(SPECS / "routes-spec.md")

Answers = dict[int, set[str]]


def operations(app: FastAPI) -> dict[str, dict[str, Any]]:
    """The operations of the OpenAPI document, as `POST /api/tasks`."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
    }


def answers_of(operation: Mapping[str, Any]) -> Answers:
    return {
        int(status): set(
            response.get("content", {}).get("application/problem+json", {}).get("examples", ())
        )
        for status, response in operation["responses"].items()
    }


def documented(document: Document) -> dict[str, Section]:
    return {
        heading: section
        for section in document.sections
        if re.match(r"[A-Z]+ /", heading := section.heading.strip("`"))
    }


def answers_in(section: Section) -> Answers:
    [line] = [text for text in section.paragraphs if text.startswith("Answers: ")]
    parts = line.removeprefix("Answers: ").split("·")
    answers = {int(part.split()[0]): set(codes(part)) for part in parts}
    assert len(answers) == len(parts)
    assert list(answers) == sorted(answers)
    return answers


def test_every_operation_is_documented(app: FastAPI) -> None:
    assert list(documented(API)) == list(dict.fromkeys(documented(API)))
    assert set(documented(API)) == set(operations(app))


def test_an_operation_without_its_line_is_missed() -> None:
    async def pin() -> None: ...

    grown = from_settings(Settings(better_auth_secret=SECRET))
    grown.add_api_route("/api/pins", pin, methods=["POST"])
    assert set(operations(grown)) - set(documented(API)) == {"POST /api/pins"}
    [missed] = served(grown) - routes_in(ROUTES)
    assert missed[:2] == ("POST", "/api/pins")


@pytest.mark.parametrize("name", sorted(documented(API)))
def test_every_answer_is_documented(app: FastAPI, name: str) -> None:
    assert answers_in(documented(API)[name]) == answers_of(operations(app)[name])


@pytest.mark.parametrize("name", sorted(documented(API)))
def test_every_parameter_is_documented(app: FastAPI, name: str) -> None:
    said = [
        (code(name), place)
        for t in documented(API)[name].tables
        if t.header[:2] == ("Parameter", "In")
        for name, place, *_ in t.rows
    ]
    known = [(p["name"], p["in"]) for p in operations(app)[name].get("parameters", ())]
    assert sorted(said) == sorted(known)
    defaults = {
        code(row[0]): row[3].strip("`")
        for t in documented(API)[name].tables
        if t.header[:4] == ("Parameter", "In", "Values", "Default")
        for row in t.rows
    }
    for parameter in operations(app)[name].get("parameters", ()):
        if "default" in parameter["schema"]:
            assert defaults[parameter["name"]] == str(parameter["schema"]["default"])


# The routes behind them

Row = tuple[str, str, str, tuple[str, ...], str, str]


def routes_in(document: Document) -> set[Row]:
    found = rows(document.tables("Method", "Path", "Operation", "Use case", "Who", "Where"))
    return {
        (
            code(method),
            code(path),
            code(operation),
            tuple(sorted(codes(use_cases))),
            who,
            code(where),
        )
        for method, path, operation, use_cases, who, where in (row[:6] for row in found)
    }


def served(app: FastAPI) -> set[Row]:
    return {
        (
            method,
            route.path_format,
            (route.operation_id or "") if route.include_in_schema else "",
            tuple(sorted(_use_cases_of(route))),
            _who_may_call(app, route, method),
            route.endpoint.__module__.replace(".", "/") + ".py",
        )
        for route in app.routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    }


def _use_cases_of(route: DirectRoute) -> set[str]:
    """What the route calls; the gate calls `Authenticate` for every protected one."""
    asked = re.findall(r"use_cases\.(\w+)", _source_of(route.endpoint))
    kinds = inspect.get_annotations(UseCases)
    return {kinds[name].__name__ for name in asked}


def _source_of(endpoint: Any) -> str:
    """Its own, and that of the functions beside it that it calls."""
    source = inspect.getsource(endpoint)
    for name in endpoint.__code__.co_names:
        called = endpoint.__globals__.get(name)
        if (
            inspect.isfunction(called)
            and called.__module__ == endpoint.__module__
            and called is not endpoint
        ):
            source += _source_of(called)
    return source


def _who_may_call(app: FastAPI, route: DirectRoute, method: str) -> str:
    operation = operations(app).get(f"{method} {route.path_format}", {})
    if "health" in operation.get("tags", ()):
        return "watchers"
    security = operation.get("security", [{}])
    return "anyone" if {} in security else "user"


def test_every_route_is_documented(app: FastAPI) -> None:
    assert all(isinstance(route, DirectRoute) for route in app.routes)
    assert routes_in(ROUTES) == served(app)


def test_the_middleware_is_documented_in_its_order(app: FastAPI) -> None:
    said = [code(row[0]) for row in rows(ROUTES.tables("Middleware"))]
    assert said == [str(getattr(m.cls, "__name__", m)) for m in app.user_middleware]
