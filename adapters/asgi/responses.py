"""JSON responses and cookies."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from starlette.responses import Response

NO_STORE: Final = {"Cache-Control": "no-store"}

_encode: Final = msgspec.json.Encoder().encode


def json_response(
    body: Any, status: int = 200, headers: Mapping[str, str] = NO_STORE, cookies: Iterable[str] = ()
) -> Response:
    """Entities are encoded as they are, field by field. `cookies` are values of `Set-Cookie`."""
    return with_cookies(Response(_encode(body), status, headers, "application/json"), cookies)


def no_content(cookies: Iterable[str] = ()) -> Response:
    return with_cookies(Response(status_code=204, headers=NO_STORE), cookies)


def with_cookies(response: Response, cookies: Iterable[str]) -> Response:
    for cookie in cookies:
        response.headers.append("Set-Cookie", cookie)
    return response
