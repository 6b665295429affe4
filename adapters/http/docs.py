"""The documentation page: Swagger UI, served from this process alone, without a CDN."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from fastapi import HTTPException, Request
from starlette.responses import Response

from adapters.asgi.request_record import record_of
from adapters.http.operations import Operations

_ASSETS: Final = files("fastapi_swagger") / "resources"
_MEDIA_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START: Final = """\
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true })
"""
# Relative URLs, because a rewrite may serve the page under any prefix.
_PAGE: Final = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Taskport: documentation</title>
    <link rel="icon" href="docs/favicon-32x32.png">
    <link rel="stylesheet" href="docs/swagger-ui.css">
  </head>
  <body>
    <div id="swagger-ui"></div>
    <script src="docs/swagger-ui-bundle.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
"""
# Swagger UI sets inline styles, and its style sheet has images in data URLs.
_CONTENT_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; connect-src 'self'; base-uri 'none';"
    b" form-action 'none'; frame-ancestors 'none'"
)
_REVALIDATE: Final = {"Cache-Control": "no-cache"}
_CACHE_ONE_DAY: Final = {"Cache-Control": "public, max-age=86400"}


docs: Final = Operations("docs")


@docs.get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request) -> Response:
    body = msgspec.json.encode(request.app.openapi())
    return Response(body, 200, _REVALIDATE, "application/json")


@docs.get("/docs", include_in_schema=False)
async def page(request: Request) -> Response:
    record_of(request.scope).content_policy = _CONTENT_POLICY
    return Response(_PAGE, headers=_REVALIDATE, media_type="text/html")


@docs.get("/docs/{name}", include_in_schema=False)
async def asset(name: str) -> Response:
    if name == "start.js":
        return Response(_START, headers=_CACHE_ONE_DAY, media_type="text/javascript")
    if name not in _MEDIA_TYPES:
        raise HTTPException(404)
    return Response(_content(name), headers=_CACHE_ONE_DAY, media_type=_MEDIA_TYPES[name])


@cache
def _content(name: str) -> bytes:
    return (_ASSETS / name).read_bytes()
