"""Protocol upgrades, which this service does not support."""

from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.asgi.problems import malformed


class NoUpgrade:
    """Rejects a request that has both `Upgrade` and a body.

    The parser ends such a request after its headers (RFC 9110, section 7.8), so the body would be
    lost, or parsed as another request. Without a body, `Upgrade` is ignored.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name, _ in scope["headers"]:
                if name == b"upgrade" and _has_body(scope):
                    await malformed(scope)(scope, receive, send)
                    return
        await self.app(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
