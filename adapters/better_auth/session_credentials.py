"""The credentials of a session: how its token is found in a `Cookie` header or in a bearer."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from adapters.better_auth.cookie_errors import cookie_error, name_error
from adapters.better_auth.cookie_header import pairs
from adapters.better_auth.cookie_options import (
    DONT_REMEMBER,
    SESSION_DATA,
    SESSION_TOKEN,
    Cookie,
)
from adapters.better_auth.cookies import BetterAuthCookies
from adapters.better_auth.signatures import Signatures
from adapters.better_auth.tokens import RAW_TOKEN
from application.ports.credentials import CredentialKind, SessionProof
from application.ports.tokens import BrowserCookies
from domain.errors import Unauthenticated
from domain.refusals import Reason
from domain.sessions import Session

#: A session token, raw or signed, percent-encoded or not.
_ANY_TOKEN: Final = re.compile(r"[A-Za-z0-9_~+/=.%-]{1,512}")
#: Node.js refuses heads of requests of 16 KiB.
_MAX_LENGTH: Final = 12_288
_COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*")


class SessionCredentials(Protocol):
    """Finds the session that a credential names."""

    def of_cookie(self, header: str) -> SessionProof | None:
        """The session of a `Cookie` header; None if it proves none.

        Raises `Unauthenticated` only for two session cookies that contradict each other.
        """

    def error_of_cookie(self, header: str | None) -> Unauthenticated:
        """The error for a header of which `of_cookie` returns None."""

    def of_bearer(self, token: str) -> SessionProof:
        """The session of a bearer that is no JWT. Raises `Unauthenticated`."""


@dataclass(frozen=True, slots=True)
class SignedSessionCredentials:
    """`SessionCredentials` whose signatures are verified here."""

    signatures: Signatures
    cookies: BetterAuthCookies
    #: Whether a session token counts as a bearer only with its signature: the option
    #: `requireSignature` of Better Auth's `bearer` plugin.
    require_signature: bool

    def of_cookie(self, header: str) -> SessionProof | None:
        cookies = self.cookies.read(header)
        if cookies.token is None or not RAW_TOKEN.fullmatch(cookies.token):
            return None
        return SessionProof(
            CredentialKind.COOKIE, token=cookies.token, is_temporary=cookies.is_temporary
        )

    def error_of_cookie(self, header: str | None) -> Unauthenticated:
        return cookie_error(self.cookies, header)

    def of_bearer(self, token: str) -> SessionProof:
        is_signed = token.count(".") == 1 or self.require_signature
        raw = self.signatures.read(token) if is_signed else token
        if raw is None:
            raise self.signatures.error_of(token)
        if not RAW_TOKEN.fullmatch(raw):
            raise Unauthenticated(Reason.TOKEN_MALFORMED)
        return SessionProof(CredentialKind.SESSION_TOKEN, token=raw)


@dataclass(frozen=True, slots=True)
class ForwardedSessionCredentials:
    """`SessionCredentials` that only Better Auth can verify: the token is a header line for it.

    No other cookies of the browser are passed on.
    """

    #: The cookies of the settings, by key.
    cookies: Mapping[str, Cookie]

    def of_cookie(self, header: str) -> SessionProof | None:
        line = self.line_of(header)
        return None if line is None else SessionProof(CredentialKind.COOKIE, token=line)

    def error_of_cookie(self, header: str | None) -> Unauthenticated:
        return name_error(self.cookies[SESSION_TOKEN].name, header)

    def of_bearer(self, token: str) -> SessionProof:
        if not _ANY_TOKEN.fullmatch(token):
            raise Unauthenticated(Reason.TOKEN_MALFORMED)
        return SessionProof(CredentialKind.SESSION_TOKEN, token=f"Authorization: Bearer {token}")

    def line_of(self, header: str) -> str | None:
        """The cookies of a session as a header line; None without a session cookie.

        Raises `Unauthenticated` if there are two, or if they are too long for Better Auth's server.
        """
        tokens = self.lines_of_tokens(header)
        if len(tokens) > 1:
            raise Unauthenticated(Reason.TWO_COOKIES, seen=self.cookies[SESSION_TOKEN].name)
        if not tokens:
            return None
        found = [f"{name}={value}" for name, value in pairs(header) if self._is_ours(name, value)]
        line = f"Cookie: {'; '.join(found)}"
        if len(line) > _MAX_LENGTH:
            raise Unauthenticated(
                Reason.TOKEN_TOO_LONG,
                expected=f"at most {_MAX_LENGTH} characters",
                seen=f"{len(line)} characters",
            )
        return line

    def lines_of_tokens(self, header: str) -> Sequence[str]:
        """Every session cookie alone as a header line."""
        session = self.cookies[SESSION_TOKEN].name
        lines = (
            f"Cookie: {name}={value}"
            for name, value in pairs(header)
            if name == session and value and self._is_ours(name, value)
        )
        return list(dict.fromkeys(line for line in lines if len(line) <= _MAX_LENGTH))

    def _is_ours(self, name: str, value: str) -> bool:
        data = self.cookies[SESSION_DATA].name
        is_part = name.startswith(f"{data}.") and name.removeprefix(f"{data}.").isdecimal()
        whole = (self.cookies[SESSION_TOKEN].name, self.cookies[DONT_REMEMBER].name, data)
        return (is_part or name in whole) and _COOKIE_VALUE.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class ForwardedCookies:
    """`SessionCookies` of sessions that Better Auth alone begins."""

    cookies: BetterAuthCookies
    credentials: ForwardedSessionCredentials

    @property
    def name(self) -> str:
        return self.cookies.name

    def issue(self, session: Session, *, is_temporary: bool = False) -> Sequence[str]:
        """None: only Better Auth can sign one."""
        return ()

    def replace(self, session: Session, browser: BrowserCookies) -> Sequence[str]:
        """None, as `issue`."""
        return ()

    def expire(self, browser: BrowserCookies) -> Sequence[str]:
        return self.cookies.expire(browser)

    def signed_tokens(self, browser: BrowserCookies) -> Sequence[str]:
        """Those of all session cookies, also if they contradict each other."""
        tokens = self.credentials.lines_of_tokens(browser.header)
        if len(tokens) > 1:
            return tokens
        try:
            line = self.credentials.line_of(browser.header)
        except Unauthenticated:
            return tokens
        return () if line is None else (line,)
