"""Routes that are declared in FastAPI's way and called without its dependency solver.

FastAPI reads the signature of a route and documents it. Its solver costs twice as much CPU per
request as everything else, for generality that no route here needs. `DirectRoute` reads the few
things that a route may ask for, in the order in which the contract has errors, and validates them
with the fields that FastAPI made from the signature. A parity test compares it with the solver.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from adapters.asgi.body import ABSENT, JsonRequest
from adapters.asgi.request_record import record_of
from adapters.http.dependencies import Dependencies, current_user, dependencies
from adapters.http.fastapi_internals import ModelField

# A body of 64 KiB can hold thousands of errors, and the response would be ten times as large.
_MAX_ERRORS: Final = 32


class DirectRoute(APIRoute):
    """A route that may ask for path and query parameters, one body, the request, `CurrentUser`
    and `Deps`.

    An unknown or repeated query parameter is an error.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        dependant = self.dependant
        names = {dependency.call: dependency.name for dependency in dependant.dependencies}
        unsupported = (*dependant.header_params, *dependant.cookie_params)
        if (
            names.keys() - {current_user, dependencies}
            or unsupported
            or len(dependant.body_params) > 1
        ):
            raise TypeError(f"{self.path}: DirectRoute does not support this signature")
        self._user_name, self._deps_name = names.get(current_user), names.get(dependencies)
        self.is_protected = self._user_name is not None
        self._known = frozenset(field.alias for field in dependant.query_params)
        # The defaults are immutable, so that all requests can share them.
        self._defaults = {
            field.name: field.get_default()
            for field in (*dependant.query_params, *dependant.body_params)
            if not field.field_info.is_required()
        }
        self.app = self._serve

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # Starlette's pattern also matches a path that ends in a newline.
        return (Match.NONE, {}) if scope["path"].endswith("\n") else super().matches(scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        record_of(scope).route = self.path_format
        request = JsonRequest(scope, receive, send)
        arguments = await self._arguments(request)
        response = await self.endpoint(**arguments)
        await response(scope, receive, send)

    async def _arguments(self, request: JsonRequest) -> dict[str, Any]:
        """The arguments of the endpoint.

        Raises what `JsonRequest` and `RequestAuthenticator` raise, and `RequestValidationError`.
        """
        dependant = self.dependant
        arguments: dict[str, Any] = {}
        errors: list[Any] = []
        body = await request.parse_json() if dependant.body_params else ABSENT
        # What `current_user` and `dependencies` return, without a call of each.
        deps: Dependencies = request.scope["app"].state.dependencies
        if self._user_name is not None:
            arguments[self._user_name] = await deps.authenticator.identify(request)
        if self._deps_name is not None:
            arguments[self._deps_name] = deps
        if dependant.request_param_name is not None:
            arguments[dependant.request_param_name] = request

        for field in dependant.path_params:
            value = request.path_params[field.alias]
            self._validate(field, value, ("path", field.alias), arguments, errors)
        pairs = _pairs(request.scope["query_string"]) if request.scope["query_string"] else []
        query = dict(pairs)
        for field in dependant.query_params:
            value = query.get(field.alias, ABSENT)
            self._validate(field, value, ("query", field.alias), arguments, errors)
        if len(query) < len(pairs) or not self._known.issuperset(query):
            errors += self._unknown_or_repeated(pairs)
        if body is None:
            errors.append({"loc": ("body",), "msg": "must be an object"})
        for field in dependant.body_params if body is not None else ():
            self._validate(field, body, ("body",), arguments, errors)
        if errors:
            raise RequestValidationError(errors[:_MAX_ERRORS])
        return arguments

    def _validate(
        self,
        field: ModelField,
        value: Any,
        location: tuple[str, ...],
        arguments: dict[str, Any],
        errors: list[Any],
    ) -> None:
        if value is not ABSENT:
            arguments[field.name], found = field.validate(value, loc=location)
            errors += found
        elif field.name in self._defaults:
            arguments[field.name] = self._defaults[field.name]
        else:
            errors.append({"loc": location, "msg": "Field required"})

    def _unknown_or_repeated(self, pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        counts = Counter(name for name, _ in pairs)
        return [
            {
                "loc": ("query", name),
                "msg": "is given more than once" if name in self._known else "is not known here",
            }
            for name, count in counts.items()
            if count > 1 or name not in self._known
        ]


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """The query parameters.

    Bytes that are not UTF-8 become lone surrogates, which every rule for text rejects. A
    replacement character would be searched for as if the client had sent it.
    """
    return parse_qsl(
        query.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape"
    )
