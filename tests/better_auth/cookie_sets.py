"""Cookies of a server with these options."""

from urllib.parse import urlsplit

from adapters.better_auth.cookie_options import DONT_REMEMBER, SESSION_TOKEN, CookieOptions
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.former_cookies import FormerCookies
from adapters.better_auth.signatures import Signatures
from application.ports.clock import Clock


def cookies_of(
    options: CookieOptions, secret: str, clock: Clock, url: str = "http://localhost:3000"
) -> BetterAuthCookies:
    """`url` is that of the Better Auth server."""
    signatures, cookies = Signatures(secret), options.all()
    parts = urlsplit(url)
    former = FormerCookies(signatures, cookies, parts.hostname or "", parts.scheme == "https")
    return BetterAuthCookies(
        signatures, cookies[SESSION_TOKEN], cookies[DONT_REMEMBER], former, clock
    )
