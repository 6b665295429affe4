"""Better Auth's cookies: the signed session token, and the cookies beside it.

A session cookie has the prefix `__Secure-` on https and none on http. Only the name that fits our
setting is read: a page on plain http cannot set the former, but could add the latter (cookie
tossing).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.better_auth.signatures import Signatures
from application.ports.clock import Clock
from domain.errors import Unauthenticated
from domain.refusals import Reason
from domain.sessions import Session

_SESSION: Final = "session_token"
_CACHE: Final = "session_data"
_TEMPORARY: Final = "dont_remember"

#: White space around names and values. `str.strip` would remove more, such as U+00A0: to a browser
#: a name after U+00A0 has no prefix, so that a page on plain http may set it.
_WHITE_SPACE: Final = " \t"


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
    prefix: str
    #: Whether the URL of the Better Auth server is https, by which Better Auth decides it.
    is_secure: bool
    #: None: the cookies are for this host only.
    domain: str | None
    clock: Clock

    @property
    def name(self) -> str:
        return self._name(_SESSION)

    def issue(
        self, session: Session, *, is_temporary: bool = False, cookie_header: str | None = None
    ) -> Sequence[str]:
        lifetime = session.expires_at - self.clock.now()
        seconds = None if is_temporary else round(lifetime.total_seconds())
        cookies = [self._cookie(_SESSION, self.signatures.sign(session.token), seconds)]
        if is_temporary:
            cookies.append(self._cookie(_TEMPORARY, self.signatures.sign("true"), None))
        elif cookie_header is not None and any(_values(cookie_header, self._name(_TEMPORARY))):
            cookies.append(self._cookie(_TEMPORARY, "", 0))
        return cookies

    def expire(self) -> Sequence[str]:
        names = (_SESSION, _CACHE, _TEMPORARY)
        cookies = [self._cookie(name, "", 0) for name in names]
        if self.domain is not None:
            # Also cookies from before the domain was set: browsers send both, and two session
            # cookies are rejected.
            host_only = replace(self, domain=None)
            cookies += [host_only._cookie(name, "", 0) for name in names]
        return cookies

    def read(self, header: str) -> VerifiedCookies:
        """Verify the cookies of a `Cookie` header.

        Raises `Unauthenticated` if it has two different session cookies.
        """
        tokens = set(_values(header, self.name))
        if len(tokens) > 1:
            raise Unauthenticated(Reason.TWO_COOKIES, seen=self.name)
        token = self.signatures.read(tokens.pop()) if tokens else None
        temporary = _values(header, self._name(_TEMPORARY))
        return VerifiedCookies(
            token, any(self.signatures.read(value) == "true" for value in temporary)
        )

    def _name(self, name: str) -> str:
        return f"{'__Secure-' if self.is_secure else ''}{self.prefix}.{name}"

    def _cookie(self, name: str, value: str, seconds: int | None) -> str:
        parts = [f"{self._name(name)}={value}"]
        if seconds is not None:
            parts.append(f"Max-Age={seconds}")
        if self.domain is not None:
            parts.append(f"Domain={self.domain}")
        parts += ["Path=/", "HttpOnly"]
        if self.is_secure:
            parts.append("Secure")
        return "; ".join([*parts, "SameSite=Lax"])


def _values(header: str, cookie_name: str) -> Iterator[str]:
    """The values of all cookies with this name."""
    for pair in header.split(";"):
        name, _, value = pair.partition("=")
        if name.strip(_WHITE_SPACE) == cookie_name:
            yield value.strip(_WHITE_SPACE).strip('"')
