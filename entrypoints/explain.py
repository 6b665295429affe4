"""Explains for `taskport explain` why the service accepts or refuses a credential."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import jwt
from starlette.datastructures import Headers

from adapters.better_auth.authenticator import DOTS_OF_A_JWT, BetterAuthAuthenticator, kind_of_jwt
from adapters.better_auth.keys import ALGORITHMS
from adapters.better_auth.tokens import bearer_token
from adapters.http.authentication import credentials_of
from adapters.http.csrf import PAGE_HEADERS, CrossSiteRequest, TrustedOrigins
from application.authentication import Identity
from application.ports.credentials import Authenticator, CredentialKind
from domain.errors import Refused, Unauthenticated
from domain.refusals import Reason, Refusal
from domain.users import EmailTaken
from entrypoints.container import Service, build
from entrypoints.cures import CURES, cure_of
from entrypoints.explain_steps import ORIGIN, SIGNATURE, STEPS, USER, Step
from entrypoints.origins import without_query
from entrypoints.read_only_users import ReadOnlyUsers
from entrypoints.settings import Settings

_NAMES: Final = {
    CredentialKind.COOKIE: "session cookie",
    CredentialKind.SESSION_TOKEN: "session token as bearer",
    CredentialKind.JWT: "JWT of Better Auth's jwt plugin",
    CredentialKind.ACCESS_TOKEN: "access token of this service",
    CredentialKind.SHARED_SECRET: "JWT of the shared secret",
}
_EMAIL_TAKEN: Final = (
    "409 EMAIL_TAKEN: the token names an e-mail address that belongs to another user, unless that"
    " user signed up at this service and never verified it"
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of the checks of a credential."""

    kind: CredentialKind
    #: The check that fails; None if all pass.
    failed: Step | None = None
    #: None if the failure has no reason of its own.
    refusal: Refusal | None = None
    identity: Identity | None = None
    #: Checks that these headers do not suffice for.
    skipped: Collection[Step] = ()
    #: Further sentences, none of which contains a secret.
    notes: Sequence[str] = ()


async def explain(settings: Settings, headers: Headers) -> str:
    """The explanation of the credentials in these headers. Raises `Unavailable`."""
    service = build(settings)
    async with service.running():
        explanation = await examine(service, settings, headers)
    return render(explanation, settings, service.cookies.name)


def explain_reason(reason: Reason) -> str:
    """The cure of a reason, also of one that no credential shows."""
    return f"reason   {reason.value}\ncure     {CURES[reason]}"


async def examine(service: Service, settings: Settings, headers: Headers) -> Explanation:
    """Authenticate as the service does, but write nothing. Raises `Unavailable`."""
    users = ReadOnlyUsers(service.users)
    authenticate = replace(service.use_cases.authenticate, users=users)
    kind = kind_of(headers)
    notes = []
    if "cookie" in headers and kind is not CredentialKind.COOKIE:
        notes.append("the bearer decides; a cookie beside it must not be of another user")
    try:
        identity = await authenticate(credentials_of(headers))
    except Refused as error:
        kind, failed = _failed_check(kind, error.refusal)
        skipped = _left_to_better_auth(settings, kind)
        return Explanation(kind, failed, error.refusal, None, skipped, notes)
    except EmailTaken:
        return Explanation(kind, USER, notes=[*notes, _EMAIL_TAKEN])
    if users.changed is not None:
        notes.append("the first request with this token creates or updates the user")
    if identity.session is None:
        notes.append(f"it has no session: a refresh is refused ({Reason.SESSION_REQUIRED})")
    else:
        notes.append(f"the session ends at {identity.session.expires_at:%Y-%m-%dT%H:%M:%SZ}")
    if kind is CredentialKind.JWT:
        notes.append(await _origin_of_key(authenticate.authenticator, headers["authorization"]))
    refusal, skipped = None, _left_to_better_auth(settings, identity.credential)
    if identity.credential is CredentialKind.COOKIE:
        if any(name in headers for name in PAGE_HEADERS):
            refusal = _refusal_of_origin(settings, headers)
        else:
            skipped.append(ORIGIN)
            notes.append("add the `Origin` line of the request to check whether it may change data")
    return Explanation(kind, ORIGIN if refusal else None, refusal, identity, skipped, notes)


def _left_to_better_auth(settings: Settings, kind: CredentialKind) -> list[Step]:
    """The checks of a credential that only the Better Auth server can make."""
    is_remote = kind in (CredentialKind.COOKIE, CredentialKind.SESSION_TOKEN)
    return [SIGNATURE] if is_remote and settings.has_remote_sessions else []


async def _origin_of_key(authenticator: Authenticator, authorization: str) -> str:
    """Where the key of a valid JWT is."""
    assert isinstance(authenticator, BetterAuthAuthenticator)
    kid = jwt.get_unverified_header(bearer_token(authorization) or "")["kid"]
    stored = await authenticator.jwts.find_stored(kid, authenticator.clock.now())
    if stored is not None:
        return f"its key {kid} is in the table"
    return f"its key {kid} comes from {without_query(authenticator.jwts.remote.url or '')}"


def _refusal_of_origin(settings: Settings, headers: Headers) -> Refusal | None:
    try:
        origins = TrustedOrigins.of(settings.cors_origins, settings.better_auth_url)
        origins.require_trusted_origin(headers)
    except CrossSiteRequest as error:
        return error.refusal
    return None


def _failed_check(kind: CredentialKind, refusal: Refusal) -> tuple[CredentialKind, Step]:
    """The check that fails, and the kind of credential that it is a check of.

    A header of another scheme than Bearer is refused as a bearer is, unless a cookie beside it
    counts.
    """
    kinds = (kind, CredentialKind.SESSION_TOKEN)
    steps = ((kind, step) for kind in kinds for step in STEPS[kind])
    return next((kind, step) for kind, step in steps if refusal.reason in step.reasons)


def render(explanation: Explanation, settings: Settings, cookie_name: str) -> str:
    """The explanation for people, a line for each check."""
    return "\n".join(_lines(explanation, settings, cookie_name))


def kind_of(headers: Headers) -> CredentialKind:
    """The kind of the credential that decides."""
    authorization = headers.get("authorization")
    if authorization is None:
        return CredentialKind.COOKIE
    try:
        token = bearer_token(authorization)
        if token is None:
            is_cookie = "cookie" in headers
            return CredentialKind.COOKIE if is_cookie else CredentialKind.SESSION_TOKEN
        if token.count(".") == DOTS_OF_A_JWT:
            return kind_of_jwt(token)
    except Unauthenticated as error:
        is_jwt = error.refusal.reason is Reason.JWT_MALFORMED
        return CredentialKind.JWT if is_jwt else CredentialKind.SESSION_TOKEN
    return CredentialKind.SESSION_TOKEN


def _lines(explanation: Explanation, settings: Settings, cookie_name: str) -> Iterator[str]:
    yield _NAMES[explanation.kind]
    expected = _expectations(explanation.kind, settings, cookie_name)
    is_over = False
    for step in STEPS[explanation.kind]:
        if step is explanation.failed:
            is_over = True
            yield _line("wrong", step.name, _detail(explanation.refusal))
        elif is_over or step in explanation.skipped:
            yield _line("-", step.name, "not checked")
        else:
            yield _line("ok", step.name, expected.get(step.name, ""))
    yield from (f"  note   {note}" for note in explanation.notes)
    if explanation.identity is not None:
        user_id = explanation.identity.user.id
        yield f"user     {user_id if user_id.isprintable() else ascii(user_id)}"
    if explanation.refusal is not None:
        yield f"reason   {explanation.refusal.reason.value}"
        yield f"cure     {cure_of(explanation.refusal)}"


def _line(outcome: str, name: str, detail: str) -> str:
    return f"  {outcome:<5}  {name}{': ' if detail else ''}{detail}"


def _expectations(kind: CredentialKind, settings: Settings, cookie_name: str) -> Mapping[str, str]:
    """The expected values of steps that are right, by the names of the steps."""
    fetched = f", or at {without_query(settings.jwks_url)}" if settings.jwks_url else ""
    issuer = "taskport" if kind is CredentialKind.ACCESS_TOKEN else settings.better_auth_url
    return {
        "session cookie": cookie_name,
        "session": _place_of_sessions(settings),
        "iss": issuer,
        "aud": issuer,
        "alg": f"one of {', '.join(ALGORITHMS)}",
        "key": f"in the jwks table{fetched}",
    }


def _place_of_sessions(settings: Settings) -> str:
    if settings.has_remote_sessions:
        return f"at {without_query(settings.sessions_url)}"
    return "in Redis" if settings.is_sign_in_elsewhere else "in the database"


def _detail(refusal: Refusal | None) -> str:
    parts = (("expected", refusal.expected), ("seen", refusal.seen)) if refusal else ()
    return ", ".join(f"{name} {text}" for name, text in parts if text)
