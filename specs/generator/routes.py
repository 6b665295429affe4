"""Tables of the routes and of the middleware."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI

from adapters.http.routing import DirectRoute
from application.use_cases import UseCases
from specs.generator.markdown import code, codes, table
from specs.generator.modules import path_of, sentence
from specs.generator.openapi import application, operations


def routes(app: FastAPI | None = None) -> str:
    """Every route with its use cases and its allowed callers."""
    app = app or application()
    return table(
        ("Method", "Path", "Operation", "Use case", "Caller", "Where"),
        (
            (
                code(method),
                code(route.path_format),
                code(route.operation_id or "") if route.include_in_schema else "",
                codes(_use_cases_of(route)),
                _caller(dict(operations(app)).get(f"{method} {route.path_format}", {})),
                code(path_of(route.endpoint)),
            )
            for route in app.routes
            if isinstance(route, DirectRoute)
            for method in sorted(route.methods or ())
        ),
    )


def middleware(app: FastAPI | None = None) -> str:
    """The middleware, from the outermost to the innermost."""
    return table(
        ("Middleware", "Where", "Meaning"),
        (
            (code(kind.__name__), code(path_of(kind)), sentence(kind))
            for kind in (_class_of(entry) for entry in (app or application()).user_middleware)
        ),
    )


def _class_of(entry: Any) -> type:
    return entry.cls  # type: ignore[no-any-return]


def _use_cases_of(route: DirectRoute) -> Iterator[str]:
    """The use cases that an endpoint calls, itself or through functions of its module."""
    kinds = inspect.get_annotations(UseCases)
    for name in dict.fromkeys(re.findall(r"use_cases\.(\w+)", _source_of(route.endpoint))):
        yield kinds[name].__name__


def _source_of(endpoint: Callable[..., Any]) -> str:
    source = inspect.getsource(endpoint)
    for name, value in vars(sys.modules[endpoint.__module__]).items():
        if inspect.isfunction(value) and value is not endpoint and f" {name}(" in source:
            source += _source_of(value) if value.__module__ == endpoint.__module__ else ""
    return source


def _caller(operation: Any) -> str:
    if "health" in operation.get("tags", ()):
        return "probes"
    return "anyone" if {} in operation.get("security", [{}]) else "user"
