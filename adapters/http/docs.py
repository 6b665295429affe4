"""The documentation for people: Swagger UI, with nothing that is fetched from elsewhere."""

from importlib.resources import files
from typing import Final

from fastapi import FastAPI, HTTPException
from starlette.responses import Response

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
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_A_DAY: Final = {"Cache-Control": "public, max-age=86400"}


def add_docs_routes(app: FastAPI) -> None:
    """`/docs`, and what the page consists of."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
        return Response(_PAGE, headers=headers, media_type="text/html")

    @app.get("/docs/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name == "start.js":
            return Response(_START, headers=_A_DAY, media_type="text/javascript")
        if name not in _TYPES:
            raise HTTPException(404)
        content = (_ASSETS / name).read_bytes()
        return Response(content, headers=_A_DAY, media_type=_TYPES[name])
