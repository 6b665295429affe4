"""The documentation for people: Swagger UI, with nothing that is fetched from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from fastapi import FastAPI, HTTPException, Request
from starlette.responses import Response

from adapters.asgi.request_record import record_of
from adapters.http.limits import count_anonymous
from application.limits import RequestLimit

_ASSETS: Final = files("fastapi_swagger") / "resources"
_TYPES: Final = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_START: Final = """\
SwaggerUIBundle({ url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true })
"""
# Addresses that are relative to where the page is, under whatever path a rewrite has put it.
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
# Swagger UI writes styles into its elements, and draws with images that are in its style sheet.
_POLICY: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; connect-src 'self'; base-uri 'none';"
    b" form-action 'none'; frame-ancestors 'none'"
)
_FRESH: Final = {"Cache-Control": "no-cache"}
_A_DAY: Final = {"Cache-Control": "public, max-age=86400"}


def add_docs_routes(app: FastAPI, limit: RequestLimit) -> None:
    """`/openapi.json`, `/docs`, and what the page consists of."""

    @app.get("/openapi.json", include_in_schema=False)
    async def document(request: Request) -> Response:
        await count_anonymous(limit, request.scope)
        return Response(msgspec.json.encode(app.openapi()), 200, _FRESH, "application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        await count_anonymous(limit, request.scope)
        record_of(request.scope).content_policy = _POLICY
        return Response(_PAGE, headers=_FRESH, media_type="text/html")

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(request: Request, name: str) -> Response:
        await count_anonymous(limit, request.scope)
        if name == "start.js":
            return Response(_START, headers=_A_DAY, media_type="text/javascript")
        if name not in _TYPES:
            raise HTTPException(404)
        return Response(_content(name), headers=_A_DAY, media_type=_TYPES[name])


@cache
def _content(name: str) -> bytes:
    return (_ASSETS / name).read_bytes()
