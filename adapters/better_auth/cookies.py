"""Better Auth's cookies: the signed session token, and what stands beside it.

A server reads exactly one of the two names that a session cookie can have: would it read both, a
page on plain http could toss in the bare name over the one that only https can set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.better_auth.signatures import Signatures
from application.ports.clock import Clock
from domain.errors import Unauthenticated
from domain.sessions import Session

_SESSION: Final = "session_token"
_CACHE: Final = "session_data"
_TEMPORARY: Final = "dont_remember"

# Python's own notion of it is wider: to a browser, a name behind U+00A0 has no prefix, and plain
# http may set it.
_SPACE: Final = " \t"


@dataclass(frozen=True, slots=True)
class ShownCookies:
    """The session token that a cookie proves, and whether the session is a temporary one."""

    token: str | None = None
    is_temporary: bool = False


@dataclass(frozen=True, slots=True)
class BetterAuthCookies:
    """`SessionCookies`, and the reading of them.

    `is_secure` as Better Auth decides it: where its own URL is https.
    """

    signatures: Signatures
    prefix: str
    is_secure: bool
    domain: str | None
    clock: Clock

    @property
    def name(self) -> str:
        return self._name(_SESSION)

    def issue(
        self, session: Session, *, is_temporary: bool = False, shown: str | None = None
    ) -> Sequence[str]:
        left = session.expires_at - self.clock.now()
        seconds = None if is_temporary else round(left.total_seconds())
        cookies = [self._cookie(_SESSION, self.signatures.sign(session.token), seconds)]
        if is_temporary:
            cookies.append(self._cookie(_TEMPORARY, self.signatures.sign("true"), None))
        elif shown is not None and any(_values(shown, self._name(_TEMPORARY))):
            cookies.append(self._cookie(_TEMPORARY, "", 0))
        return cookies

    def expire(self) -> Sequence[str]:
        names = (_SESSION, _CACHE, _TEMPORARY)
        cookies = [self._cookie(name, "", 0) for name in names]
        if self.domain is not None:
            # From before there was a domain: the browser shows both, and two prove nothing.
            of_this_host = replace(self, domain=None)
            cookies += [of_this_host._cookie(name, "", 0) for name in names]
        return cookies

    def read(self, header: str) -> ShownCookies:
        """What a `Cookie` header proves. Raises `Unauthenticated` where it shows two sessions."""
        tokens = set(_values(header, self.name))
        if len(tokens) > 1:
            raise Unauthenticated
        token = self.signatures.read(tokens.pop()) if tokens else None
        temporary = _values(header, self._name(_TEMPORARY))
        return ShownCookies(
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


def _values(header: str, wanted: str) -> Iterator[str]:
    for pair in header.split(";"):
        name, _, value = pair.partition("=")
        if name.strip(_SPACE) == wanted:
            yield value.strip(_SPACE).strip('"')
