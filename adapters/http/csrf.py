"""Cross-site request forgery (CSRF): origins whose pages may use the session cookie for a change.

A browser attaches the cookie to requests of any page. `Sec-Fetch-Site` (Fetch Metadata) and
`Origin`, or else `Referer`, identify the page that sent the request.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from adapters.asgi.errors import WireError
from domain.refusals import Reason, Refusal, shown

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Headers of browsers that identify the page which sent a request.
PAGE_HEADERS: Final = ("origin", "referer", "sec-fetch-site")
_BROWSER_HEADERS: Final = (*PAGE_HEADERS, "cookie")


class CrossSiteRequest(WireError):
    """A change authenticated by a cookie, a sign-up or a log-in comes from an untrusted origin."""

    status = 403
    code = "CROSS_SITE_REQUEST"
    message = "A page of another site may not do this."

    def __init__(self, *, expected: str, seen: str) -> None:
        super().__init__()
        self.refusal = Refusal(Reason.ORIGIN_NOT_ALLOWED, expected, seen)


@dataclass(frozen=True, slots=True)
class TrustedOrigins:
    """The origins of `CORS_ORIGINS` and of the Better Auth server."""

    origins: Collection[str]

    @classmethod
    def of(cls, cors_origins: Collection[str], better_auth_origin: str) -> Self:
        return cls(frozenset({*cors_origins, better_auth_origin}))

    def require_trusted_origin(self, headers: Headers) -> None:
        """Raises `CrossSiteRequest` unless a page of a trusted origin sent the request."""
        if headers.getlist("sec-fetch-site") == ["same-origin"]:
            return
        origin = _origin(headers)
        if origin not in self.origins:
            raise CrossSiteRequest(
                expected=", ".join(sorted(self.origins)),
                seen="no Origin or Referer" if origin is None else shown(origin),
            )

    def require_trusted_origin_of_browsers(self, headers: Headers) -> None:
        """The same check, but only for requests that look like a browser's.

        Raises `CrossSiteRequest`.
        """
        if any(name in headers for name in _BROWSER_HEADERS):
            self.require_trusted_origin(headers)

    def is_cross_site(self, headers: Headers) -> bool:
        """Whether a page of an origin that is not trusted sent the request."""
        if not any(name in headers for name in PAGE_HEADERS):
            return False
        try:
            self.require_trusted_origin(headers)
        except CrossSiteRequest:
            return True
        return False


def _origin(headers: Headers) -> str | None:
    origins = headers.getlist("origin")
    if origins:
        return origins[0] if len(origins) == 1 else None
    referers = headers.getlist("referer")
    if len(referers) != 1:
        return None
    try:
        referer = urlsplit(referers[0])
    except ValueError:
        return None
    return f"{referer.scheme}://{referer.netloc}"
