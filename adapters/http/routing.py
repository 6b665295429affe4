"""Routes that are declared in FastAPI's way and read in ours.

FastAPI reads the signature and documents it. Its solver, at run time, costs twice what all the
rest of a request costs, for generality that no route here needs: so the few things that a route
may ask for are read directly, in the order of refusals that the contract has, and validated by
the very fields that FastAPI made of the signature. A test holds the two ways side by side.
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
from adapters.http.authentication import current_user
from adapters.http.fastapi_internals import ModelField

# A body of 64 KiB has room for thousands, and the answer would be ten times as large.
_ERRORS_MAX: Final = 32


class DirectRoute(APIRoute):
    """A route that may ask for path and query parameters, one body, the request, and who asks.

    An unknown query parameter is refused, and so is one that is given twice.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = self.dependant
        users = [dependency for dependency in asked.dependencies if dependency.call is current_user]
        others = (*asked.header_params, *asked.cookie_params)
        if len(users) != len(asked.dependencies) or others or len(asked.body_params) > 1:
            raise TypeError(f"{self.path}: a direct route cannot read all that this one asks for")
        self.user_name = users[0].name if users else None
        self._known = frozenset(field.alias for field in asked.query_params)
        # None of them can be changed, so that one will do for all requests.
        self._defaults = {
            field.name: field.get_default()
            for field in (*asked.query_params, *asked.body_params)
            if not field.field_info.is_required()
        }
        self.app = self._serve

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        # To Starlette's pattern a path ends before a newline, too.
        return (Match.NONE, {}) if scope["path"].endswith("\n") else super().matches(scope)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        record_of(scope).route = self.path_format
        request = JsonRequest(scope, receive, send)
        arguments = await self._read(request)
        response = await self.endpoint(**arguments)
        await response(scope, receive, send)

    async def _read(self, request: JsonRequest) -> dict[str, Any]:
        """The arguments of the endpoint. Raises what a body or a user can raise, and
        `RequestValidationError`."""
        asked = self.dependant
        arguments: dict[str, Any] = {}
        errors: list[Any] = []
        body = await request.parse_json() if asked.body_params else ABSENT
        if self.user_name is not None:
            arguments[self.user_name] = await current_user(request)
        if asked.request_param_name is not None:
            arguments[asked.request_param_name] = request

        for field in asked.path_params:
            value = request.path_params[field.alias]
            self._validate(field, value, ("path", field.alias), arguments, errors)
        pairs = _pairs(request.scope["query_string"]) if request.scope["query_string"] else []
        query = dict(pairs)
        for field in asked.query_params:
            value = query.get(field.alias, ABSENT)
            self._validate(field, value, ("query", field.alias), arguments, errors)
        if len(query) < len(pairs) or not self._known.issuperset(query):
            errors += self._odd(pairs)
        if body is None:
            errors.append({"loc": ("body",), "msg": "must be an object"})
        for field in asked.body_params if body is not None else ():
            self._validate(field, body, ("body",), arguments, errors)
        if errors:
            raise RequestValidationError(errors[:_ERRORS_MAX])
        return arguments

    def _validate(
        self,
        field: ModelField,
        value: Any,
        place: tuple[str, ...],
        arguments: dict[str, Any],
        errors: list[Any],
    ) -> None:
        if value is not ABSENT:
            arguments[field.name], found = field.validate(value, loc=place)
            errors += found
        elif field.name in self._defaults:
            arguments[field.name] = self._defaults[field.name]
        else:
            errors.append({"loc": place, "msg": "Field required"})

    def _odd(self, pairs: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
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
    """The parameters by name. What is not UTF-8 becomes a lone surrogate, which no rule lets pass:
    a replacement character would be looked for as if it had been meant."""
    return parse_qsl(
        query.decode("ascii", "surrogateescape"), keep_blank_values=True, errors="surrogateescape"
    )
