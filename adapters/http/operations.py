"""How routes are declared: one decorator per operation, with the errors that it can end in.

The name of the function becomes the operation id, the first line of its docstring the summary, and
the rest the description. A signature with `CurrentUser` or a body adds the errors of both.
"""

from collections.abc import Callable, Collection
from inspect import cleandoc, signature
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel

from adapters.http.csrf import SAFE_METHODS, CrossSiteRequest
from adapters.http.dependencies import CurrentUser
from adapters.http.error_responses import BODY_ERRORS, SETS_COOKIE, Error, error_responses
from domain.errors import Invalid

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Operations:
    """The operations of one tag, until `add_to` adds them to an application."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._routes: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._operation("GET", path, **options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._operation("POST", path, **options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._operation("PUT", path, **options)

    def patch(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._operation("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        return self._operation("DELETE", path, **options)

    def add_to(self, app: FastAPI) -> None:
        for path, endpoint, options in self._routes:
            app.add_api_route(path, endpoint, **options)
            route = app.routes[-1]
            if isinstance(route, APIRoute):
                summary, _, route.description = cleandoc(endpoint.__doc__ or "").partition("\n\n")
                route.summary = summary.removesuffix(".")

    def _operation(
        self,
        method: str,
        path: str,
        *,
        returns: type[BaseModel] | None = None,
        raises: Collection[Error] = (),
        status: int = 200,
        description: str = "Successful Response",
        responses: dict[int | str, dict[str, Any]] | None = None,
        sets_cookie: bool = False,
        is_limited: bool = True,
        operation_id: str | None = None,
        **options: Any,
    ) -> Callable[[Endpoint], Endpoint]:
        """Declare an operation.

        `returns` is the schema of the body at `status`, `description` that of this response, and
        `responses` are responses that are neither this one nor an error. Every operation can end
        in the errors of its parameters.
        """

        def declare(endpoint: Endpoint) -> Endpoint:
            parameters = signature(endpoint).parameters
            is_protected = any(p.annotation is CurrentUser for p in parameters.values())
            errors = [Invalid, *raises]
            if is_protected and method not in SAFE_METHODS:
                errors.append(CrossSiteRequest)
            if "body" in parameters:
                errors += BODY_ERRORS
            self._routes.append(
                (
                    path,
                    endpoint,
                    {
                        "methods": [method],
                        "tags": [self._tag],
                        "operation_id": operation_id or _camel_case(endpoint.__name__),
                        "response_model": returns,
                        "response_description": description,
                        "status_code": status,
                        "responses": {
                            **({status: SETS_COOKIE} if sets_cookie else {}),
                            **(responses or {}),
                            **error_responses(
                                *errors, is_protected=is_protected, is_limited=is_limited
                            ),
                        },
                        **options,
                    },
                )
            )
            return endpoint

        return declare


def _camel_case(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
