"""For each reason, a request that is refused for it, and what the operator learns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from adapters.better_auth.jwks import RemoteKeys
from domain.refusals import Reason
from domain.sessions import Session
from tests.better_auth.signer import signer
from tests.http.api import LOG_IN, LOGIN, REFRESH, SIGN_UP, TASKS, USER, WRONG_LOGIN
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, shared_secret_token
from tests.http.credentials import (
    COOKIE,
    access_token,
    bearer,
    cookie,
    cookie_of,
    plugin_claims,
    plugin_token,
    signed,
)
from tests.http.fakes import FakeRemoteKeys
from tests.http.forging import (
    ATTACKER_KEY,
    CURVE_KEY,
    OTHER_SECRET,
    OWN_KEY,
    UNKNOWN,
    Forgery,
    now,
    with_header,
)
from tests.http.rows import DAY, add_key, add_session, add_task, add_user

BOBS: Final = "TokenOfBob".ljust(32, "0")
EXPIRED: Final = "TokenOfAnnExpired".ljust(32, "0")
BROKEN_KEY: Final = signer("a-key-that-is-broken")
EVIL: Final = "https://evil.example"
_backends: Final[dict[str, Backend]] = {}
_NO_SETTINGS: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Refused:
    """A request that is refused, and words of the warning."""

    headers: Forgery = lambda _: []
    expected: str | None = None
    seen: str | None = None
    status: int = 401
    code: str = "UNAUTHENTICATED"
    method: str = "GET"
    path: str = TASKS
    body: object = None
    settings: Mapping[str, Any] = field(default_factory=lambda: _NO_SETTINGS)
    #: The check that `taskport explain` calls wrong; None if no credential shows it.
    step: str | None = None
    #: A word of the cure.
    cure: str = ""


def _sign_in(code: str, *, path: str = LOG_IN, body: object = LOGIN, **values: Any) -> Refused:
    return Refused(method="POST", path=path, body=body, status=403, code=code, **values)


CASES: Final[Mapping[Reason, Refused]] = {
    Reason.COOKIE_MISSING: Refused(
        lambda _: cookie("dark", "theme"), COOKIE, "1 other cookies", step="session cookie"
    ),
    Reason.COOKIE_NAME_UNEXPECTED: Refused(
        lambda s: cookie(signed(s.token), f"__Secure-{COOKIE}"),
        COOKIE,
        f"__Secure-{COOKIE}",
        step="session cookie",
        cure="Set BETTER_AUTH_URL to the https URL",
    ),
    Reason.TWO_COOKIES: Refused(
        lambda s: cookie(f"{signed(s.token)}; {COOKIE}={signed(UNKNOWN)}"),
        seen=COOKIE,
        step="session cookie",
        cure="COOKIE_DOMAIN",
    ),
    Reason.SIGNATURE_MISSING: Refused(
        lambda s: cookie(s.token), "a signature of 44 characters", step="signature"
    ),
    Reason.ENCODED_TWICE: Refused(lambda s: cookie(quote(signed(s.token))), step="signature"),
    Reason.BAD_SIGNATURE: Refused(
        lambda s: cookie(signed(s.token, OTHER_SECRET)),
        "BETTER_AUTH_SECRET",
        step="signature",
        cure="BETTER_AUTH_SECRET",
    ),
    Reason.TOKEN_MALFORMED: Refused(
        lambda _: cookie(signed("x' or '1'='1")), step="form of the session token"
    ),
    Reason.TWO_AUTHORIZATION_HEADERS: Refused(
        lambda s: bearer(s.token) + bearer(BOBS), step="Authorization header", cure="proxy"
    ),
    Reason.SCHEME_NOT_BEARER: Refused(
        lambda s: [("Authorization", f"Token {s.token}")],
        "Bearer",
        "token",
        step="Authorization header",
    ),
    Reason.BEARER_MALFORMED: Refused(
        lambda s: [("Authorization", f"Bearer\t{s.token}")], "Bearer", step="Authorization header"
    ),
    Reason.TOKEN_TOO_LONG: Refused(
        lambda s: bearer(s.token * 300), "8192", "9600", step="Authorization header"
    ),
    Reason.TWO_USERS: Refused(
        lambda s: bearer(s.token) + cookie(signed(BOBS)), step="bearer and cookie of one user"
    ),
    Reason.NO_SUCH_SESSION: Refused(
        lambda _: cookie(signed(UNKNOWN)), step="session", cure="DATABASE_URL"
    ),
    Reason.SESSION_EXPIRED: Refused(
        lambda _: bearer(EXPIRED), "expiresAt after 20", "Z", step="session has not expired"
    ),
    Reason.SESSION_OF_ANOTHER_USER: Refused(
        lambda s: bearer(access_token(s, sub="bob")),
        step="session of the user that the token names",
    ),
    Reason.SESSION_REQUIRED: Refused(
        lambda _: bearer(plugin_token()),
        seen="jwt",
        status=403,
        code="FORBIDDEN",
        method="POST",
        path=REFRESH,
    ),
    Reason.JWT_MALFORMED: Refused(lambda s: bearer(f"{s.token}.x.y"), step="JWT can be read"),
    Reason.JWT_TYPE_UNEXPECTED: Refused(
        lambda _: bearer(OWN_KEY.token(plugin_claims(), typ="better-auth.session-cache+jwt")),
        "typ jwt, or typ absent",
        "typ better-auth.session-cache+jwt",
        step="typ",
    ),
    Reason.JWT_CLAIM_MISSING: Refused(
        lambda _: bearer(plugin_token(exp=None)), "exp", step="claims are there and of their types"
    ),
    Reason.JWT_CLAIM_INVALID: Refused(
        lambda _: bearer(plugin_token(sub="ann\n")),
        "sub of 1 to 255 printable characters",
        "4 characters",
        step="claims are there and of their types",
    ),
    Reason.JWT_EXPIRED: Refused(
        lambda _: bearer(plugin_token(iat=now() - 900, exp=now() - 60)),
        "exp after 20",
        "Z",
        step="exp, nbf and iat",
        cure="clocks",
    ),
    Reason.JWT_NOT_YET_VALID: Refused(
        lambda _: bearer(plugin_token(nbf=now() + 600)),
        "nbf before 20",
        "Z",
        step="exp, nbf and iat",
        cure="clocks",
    ),
    Reason.JWT_LIFETIME_TOO_LONG: Refused(
        lambda _: bearer(shared_secret_token(exp=now() + 86_400 * 365)),
        "exp at most",
        "seconds",
        step="lifetime",
    ),
    Reason.JWT_FOR_ANOTHER_PURPOSE: Refused(
        lambda _: bearer(plugin_token(azp="a-client")), seen="azp", step="purpose"
    ),
    Reason.WRONG_ISSUER: Refused(
        lambda _: bearer(plugin_token(iss=f"{ORIGIN}/")),
        f"iss {ORIGIN}",
        f"iss {ORIGIN}/",
        step="iss",
        cure="BETTER_AUTH_URL",
    ),
    Reason.WRONG_AUDIENCE: Refused(
        lambda _: bearer(plugin_token(aud=["https://a.example", EVIL])),
        f"aud {ORIGIN}",
        f"aud https://a.example, {EVIL}",
        step="aud",
    ),
    Reason.ALGORITHM_NOT_ALLOWED: Refused(
        lambda _: bearer(with_header(plugin_token(), alg="HS512")),
        "alg EdDSA, ES256",
        "alg HS512",
        step="alg",
    ),
    Reason.KID_INVALID: Refused(
        lambda _: bearer(OWN_KEY.token(plugin_claims(), kid=None)), seen="kid nothing", step="kid"
    ),
    Reason.UNKNOWN_KID: Refused(
        lambda _: bearer(ATTACKER_KEY.token(plugin_claims())),
        f"jwks table or of {ORIGIN}/api/auth/jwks",
        f"kid {ATTACKER_KEY.kid}",
        step="key",
        cure="BETTER_AUTH_JWKS_URL",
    ),
    Reason.KEY_UNUSABLE: Refused(
        lambda _: bearer(BROKEN_KEY.token(plugin_claims())),
        seen=f"kid {BROKEN_KEY.kid}",
        step="key",
    ),
    Reason.SHARED_SECRET_OFF: Refused(
        lambda _: bearer(shared_secret_token()),
        settings={"shared_secret_tokens": False},
        step="tokens of the shared secret",
        cure="SHARED_SECRET_TOKENS=true",
    ),
    Reason.USER_UNKNOWN: Refused(
        lambda _: bearer(plugin_token("nobody")), code="UNKNOWN_USER", step="user in the database"
    ),
    Reason.USER_BANNED: Refused(
        lambda _: bearer("TokenOfEve".ljust(32, "0")),
        status=403,
        code="USER_BANNED",
        step="user is not banned",
    ),
    Reason.INVALID_CREDENTIALS: Refused(
        method="POST", path=LOG_IN, body=WRONG_LOGIN, code="INVALID_CREDENTIALS"
    ),
    Reason.EMAIL_NOT_VERIFIED: _sign_in(
        "EMAIL_NOT_VERIFIED", settings={"require_email_verification": True}
    ),
    Reason.SECOND_FACTOR_REQUIRED: _sign_in(
        "SECOND_FACTOR_REQUIRED", body={**LOGIN, "email": "zoe@example.com"}
    ),
    Reason.SIGN_IN_ELSEWHERE: _sign_in("SIGN_IN_ELSEWHERE", settings={"email_and_password": False}),
    Reason.SIGN_UP_CLOSED: _sign_in("SIGN_UP_CLOSED", path=SIGN_UP, settings={"sign_up": False}),
    Reason.DELETION_OFF: Refused(
        lambda s: bearer(s.token),
        status=403,
        code="FORBIDDEN",
        method="DELETE",
        path=USER,
        settings={"delete_user": False},
        cure="DELETE_USER=true",
    ),
    Reason.TASK_OF_ANOTHER_USER: Refused(
        lambda _: bearer(BOBS), status=403, code="FORBIDDEN", path=f"{TASKS}/1"
    ),
    Reason.ORIGIN_NOT_ALLOWED: Refused(
        lambda s: [cookie_of(s)[0], ("Origin", EVIL)],
        ORIGIN,
        EVIL,
        status=403,
        code="CROSS_SITE_REQUEST",
        method="POST",
        body={"title": "x"},
        step="origin, for changes",
        cure="CORS_ORIGINS",
    ),
    Reason.PREFLIGHT_NOT_ALLOWED: Refused(
        lambda _: [
            ("Origin", ORIGIN),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "x-custom"),
        ],
        "Authorization",
        "POST, and x-custom",
        status=403,
        code="FORBIDDEN",
        method="OPTIONS",
    ),
}

VARIANTS: Final[Mapping[str, tuple[Reason, Refused]]] = {
    "no header at all": (Reason.COOKIE_MISSING, Refused(seen="no cookie")),
    "an empty cookie": (
        Reason.COOKIE_MISSING,
        Refused(lambda _: cookie(""), COOKIE, "without a value", step="session cookie"),
    ),
    "another prefix": (
        Reason.COOKIE_NAME_UNEXPECTED,
        Refused(
            lambda s: cookie(signed(s.token), "my-app.session_token"),
            COOKIE,
            "my-app.session_token",
            step="session cookie",
            cure="Set BETTER_AUTH_COOKIE_PREFIX to my-app.",
        ),
    ),
    "http instead of https, and another prefix": (
        Reason.COOKIE_NAME_UNEXPECTED,
        Refused(
            lambda s: cookie(signed(s.token), "my-app.session_token"),
            f"__Secure-{COOKIE}",
            settings={"better_auth_url": "https://app.example.com"},
            step="session cookie",
            cure="USE_SECURE_COOKIES=false, and set BETTER_AUTH_COOKIE_PREFIX to my-app.",
        ),
    ),
    "a token without its scheme": (
        Reason.SCHEME_NOT_BEARER,
        Refused(
            lambda s: [("Authorization", s.token)],
            "Bearer",
            "no known scheme",
            step="Authorization header",
        ),
    ),
    "a password of a proxy, and no valid cookie": (
        Reason.BAD_SIGNATURE,
        Refused(
            lambda s: [
                ("Authorization", "Basic canary"),
                *cookie(signed(s.token, OTHER_SECRET)),
            ],
            "BETTER_AUTH_SECRET",
            step="signature",
        ),
    ),
    "a bearer without its signature": (
        Reason.SIGNATURE_MISSING,
        Refused(
            lambda s: bearer(s.token),
            settings={"bearer_require_signature": True},
            step="signature",
        ),
    ),
    "a JWT of another key": (
        Reason.BAD_SIGNATURE,
        Refused(
            lambda _: bearer(ATTACKER_KEY.token(plugin_claims(), kid=OWN_KEY.kid)),
            "EdDSA",
            step="signature",
        ),
    ),
    "an algorithm of another key": (
        Reason.ALGORITHM_NOT_ALLOWED,
        Refused(
            lambda _: bearer(OWN_KEY.token(plugin_claims(), kid=CURVE_KEY.kid)),
            "alg ES256",
            "alg EdDSA",
            step="alg",
        ),
    ),
    "a shared secret that differs": (
        Reason.BAD_SIGNATURE,
        Refused(lambda s: bearer(access_token(s, OTHER_SECRET)), "HS256", step="signature"),
    ),
    "an access token of another service": (
        Reason.WRONG_ISSUER,
        Refused(lambda s: bearer(access_token(s, iss=EVIL)), "iss taskport", EVIL, step="iss"),
    ),
    "a deleted account": (
        Reason.USER_UNKNOWN,
        Refused(
            lambda _: bearer(shared_secret_token("max", iat=now() - 60)),
            code="UNKNOWN_USER",
            step="user in the database",
        ),
    ),
    "a preflight of another origin": (
        Reason.ORIGIN_NOT_ALLOWED,
        Refused(
            lambda _: [("Origin", EVIL), ("Access-Control-Request-Method", "POST")],
            ORIGIN,
            EVIL,
            status=403,
            code="FORBIDDEN",
            method="OPTIONS",
        ),
    ),
    "a hidden task of another user": (
        Reason.TASK_OF_ANOTHER_USER,
        Refused(
            lambda _: bearer(BOBS),
            status=404,
            code="TASK_NOT_FOUND",
            path=f"{TASKS}/1",
            settings={"hide_foreign_tasks": True},
        ),
    ),
    "a change from nowhere": (
        Reason.ORIGIN_NOT_ALLOWED,
        Refused(
            lambda s: [cookie_of(s)[0]],
            ORIGIN,
            "no Origin or Referer",
            status=403,
            code="CROSS_SITE_REQUEST",
            method="POST",
            body={"title": "x"},
        ),
    ),
}
"""Further requests with what the operator learns of them."""

REFUSED: Final[Mapping[str, tuple[Reason, Refused]]] = {
    **{reason.value: (reason, case) for reason, case in CASES.items()},
    **VARIANTS,
}


def backend_with(settings: Mapping[str, Any]) -> tuple[Backend, Session]:
    """An application with these settings, filled, and a live session of Ann."""
    known = repr(sorted(settings.items()))
    if known not in _backends:
        remote = {RemoteKeys: FakeRemoteKeys({})}
        _backends[known] = build_backend(remote, **{"cors_origins": ORIGIN, **settings})
    backend = _backends[known]
    store = backend.store
    store.clear()
    add_user(store)
    add_user(store, "bob")
    add_user(store, "eve", banned=True)
    add_user(store, "zoe", has_second_factor=True)
    store.deleted_users["max"] = datetime.now(UTC)
    add_key(store)
    add_key(store, CURVE_KEY.kid, "ES256")
    add_key(store, BROKEN_KEY.kid, public_key="{}")
    for name in ("bob", "eve"):
        add_session(store, name)
    past = datetime.now(UTC) - 8 * DAY
    add_session(store, name="Expired", created_at=past, expires_at=past + 7 * DAY)
    store.tasks[1] = add_task(store)
    return backend, add_session(store)


def secrets_of(headers: list[tuple[str, str]], session: Session) -> list[str]:
    """The credentials in these headers, which no line about the request may contain."""
    values = [value for name, value in headers if name.lower() in ("authorization", "cookie")]
    parts = [part for value in values for part in value.replace("=", " ").replace(";", " ").split()]
    return [session.token, *(part for part in parts if len(part) >= 24 and "session" not in part)]
