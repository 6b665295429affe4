"""Better Auth's cookies: the signed session token, and the cookies beside it.

A session cookie has the prefix `__Secure-` on https and none on http. Only the name that fits our
settings is read: a page on plain http cannot set the former, but could add the latter (cookie
tossing).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.better_auth.cookie_header import pairs
from adapters.better_auth.cookie_options import Cookie
from adapters.better_auth.former_cookies import FormerCookies
from adapters.better_auth.signatures import Signatures
from application.ports.clock import Clock
from application.ports.tokens import BrowserCookies
from domain.errors import Unauthenticated
from domain.refusals import Reason
from domain.sessions import Session


@dataclass(frozen=True, slots=True)
class VerifiedCookies:
    """The contents of a `Cookie` header whose signatures are valid."""

    #: The session token.
    token: str | None = None
    #: Whether the session is not to be remembered after the browser is closed.
    is_temporary: bool = False


@dataclass(frozen=True, slots=True)
class BetterAuthCookies:
    """`SessionCookies` in Better Auth's format; also reads them."""

    signatures: Signatures
    session: Cookie
    #: Marks a temporary session.
    dont_remember: Cookie
    former: FormerCookies
    clock: Clock

    @property
    def name(self) -> str:
        return self.session.name

    def issue(self, session: Session, *, is_temporary: bool = False) -> Sequence[str]:
        lifetime = session.expires_at - self.clock.now()
        seconds = None if is_temporary else round(lifetime.total_seconds())
        cookies = [self.session.set(self.signatures.sign(session.token), seconds)]
        if is_temporary:
            cookies.append(self.dont_remember.set(self.signatures.sign("true"), None))
        return cookies

    def replace(self, session: Session, browser: BrowserCookies) -> Sequence[str]:
        # The new cookie last: on some hosts two forms are the same cookie.
        return [*self.former.expire_others(browser), *self.issue(session)]

    def expire(self, browser: BrowserCookies) -> Sequence[str]:
        return self.former.expire(browser)

    def signed_tokens(self, browser: BrowserCookies) -> Sequence[str]:
        return self.former.tokens(browser.header)

    def read(self, header: str) -> VerifiedCookies:
        """Verify the cookies of a `Cookie` header.

        Raises `Unauthenticated` if it has two different session cookies.
        """
        found = list(pairs(header))
        tokens = {value for name, value in found if name == self.session.name}
        if len(tokens) > 1:
            raise Unauthenticated(Reason.TWO_COOKIES, seen=self.name)
        token = self.signatures.read(tokens.pop()) if tokens else None
        marks = (value for name, value in found if name == self.dont_remember.name)
        return VerifiedCookies(token, any(self.signatures.read(mark) == "true" for mark in marks))
