"""A browser's cookies for one host, and the cookies of servers that it talks to."""

from collections.abc import Sequence
from typing import Final

from adapters.better_auth.cookie_options import CookieOptions
from adapters.better_auth.cookies import BetterAuthCookies
from application.ports.tokens import BrowserCookies
from domain.sessions import Session
from tests.better_auth.cookie_sets import cookies_of
from tests.conftest import FixedClock
from tests.cookie_jar import CookieJar

SECRET: Final = "a-secret-of-the-tests-0123456789abcdef"
HOST: Final = "api.example.com"
URL: Final = "https://app.example.com"
CLOCK: Final = FixedClock()
#: Attributes of cookies for pages that others embed.
EMBEDDED: Final = {"sameSite": "None", "secure": True, "partitioned": True}


def token(number: int) -> str:
    return f"Token{number:02}".ljust(32, "0")


def session(number: int) -> Session:
    return Session.create(
        id=f"s{number}",
        user_id="ann",
        token=token(number),
        ip_address=None,
        user_agent=None,
        now=CLOCK.now(),
    )


def cookies(options: CookieOptions, url: str = URL) -> BetterAuthCookies:
    return cookies_of(options, SECRET, CLOCK, url)


def browser(jar: CookieJar, host: str = HOST) -> BrowserCookies:
    return BrowserCookies(jar.header(host.partition(":")[0]), host)


def size_of(lines: Sequence[str]) -> int:
    return sum(len(f"set-cookie: {line}\r\n") for line in lines)
