"""Which pages may change something with the cookie that their visitor's browser sends along."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from adapters.asgi.errors import WireError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNS_OF_A_PAGE: Final = ("origin", "referer", "sec-fetch-site")
_SIGNS_OF_A_BROWSER: Final = (*_SIGNS_OF_A_PAGE, "cookie")


class CrossSiteRequest(WireError):
    status = 403
    code = "CROSS_SITE_REQUEST"
    message = "A page of another site may not do this."


@dataclass(frozen=True, slots=True)
class TrustedOrigins:
    """The origins of pages that are ours, or that ours are told to trust."""

    origins: Collection[str]

    def require_trusted_origin(self, headers: Headers) -> None:
        """Raises `CrossSiteRequest`."""
        if headers.getlist("sec-fetch-site") == ["same-origin"]:
            return
        if _origin(headers) not in self.origins:
            raise CrossSiteRequest

    def require_trusted_origin_of_browsers(self, headers: Headers) -> None:
        """The same, but a caller who shows no sign of a browser passes.

        Raises `CrossSiteRequest`.
        """
        if any(sign in headers for sign in _SIGNS_OF_A_BROWSER):
            self.require_trusted_origin(headers)

    def is_cross_site(self, headers: Headers) -> bool:
        """Whether a page that is not trusted shows that it asks."""
        if not any(sign in headers for sign in _SIGNS_OF_A_PAGE):
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
