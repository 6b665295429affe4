"""`taskport explain` tells the same as the service does, and nothing that is secret."""

import inspect
import re
from itertools import combinations
from typing import Any, Final

import pytest
from starlette.datastructures import Headers as StarletteHeaders

from adapters.asgi import access_log, refusals
from adapters.better_auth import access_tokens, claims, jwts, shared_secret, tokens
from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.keys import public_key
from application.ports.credentials import CredentialKind
from domain.refusals import Reason
from domain.sessions import Session
from entrypoints.cures import CURES
from entrypoints.explain import Explanation, examine, explain_reason, render
from entrypoints.explain_input import headers_in
from entrypoints.explain_steps import STEPS
from tests.canaries import PLANTED
from tests.conftest import LogEvents
from tests.http.api import TASKS
from tests.http.backend import Backend, build_backend
from tests.http.client import ORIGIN, SECRET, send_json, shared_secret_token
from tests.http.credentials import (
    HEADERS_OF,
    Headers,
    cookie_of,
    plugin_claims,
    plugin_token,
)
from tests.http.fakes import FakeRemoteKeys
from tests.http.forgeries import FORGERIES, VALID
from tests.http.forging import (
    ATTACKER_KEY,
    OWN_KEY,
    REMOTE_KEY,
    hs256,
    now,
    shared_claims,
    sign_with_secret,
)
from tests.http.refusals import REFUSED, backend_with, secrets_of
from tests.http.rows import snapshot

ON_CREDENTIALS: Final = {name: row for name, row in REFUSED.items() if row[1].step}


async def explain(backend: Backend, text: str) -> tuple[Explanation, str]:
    """The explanation of what is given on standard input, and its text."""
    headers = headers_in(text)
    assert headers is not None
    explanation = await examine(backend.service, backend.settings, headers)
    text = render(explanation, backend.settings, backend.service.cookies.name)
    return explanation, text


def lines_of(headers: Headers) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers)


def outcomes(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_every_reason_has_a_cure() -> None:
    assert set(CURES) == set(Reason)
    for reason in Reason:
        assert explain_reason(reason) == f"reason   {reason}\ncure     {CURES[reason]}"


@pytest.mark.parametrize("name", ON_CREDENTIALS)
async def test_refusal_is_explained(name: str) -> None:
    reason, case = ON_CREDENTIALS[name]
    backend, session = backend_with(case.settings)
    before = snapshot(backend.store)
    explanation, text = await explain(backend, lines_of(case.headers(session)))
    assert snapshot(backend.store) == before
    assert explanation.refusal is not None
    assert explanation.refusal.reason is reason
    [wrong] = [line for line in text.splitlines() if line.startswith("  wrong")]
    assert wrong.split("  ", 3)[-1].startswith(case.step or "")
    assert case.expected is None or case.expected in wrong
    assert case.seen is None or case.seen in wrong
    assert f"\nreason   {reason}\n" in text
    assert case.cure in text.splitlines()[-1]
    assert not secrets_in(text, case.headers(session), session)


def secrets_in(text: str, headers: Headers, session: Session) -> list[str]:
    return [secret for secret in (*PLANTED, *secrets_of(headers, session)) if secret in text]


@pytest.mark.parametrize("name", HEADERS_OF)
async def test_valid_credential_is_explained(name: str) -> None:
    backend, session = backend_with({})
    headers = HEADERS_OF[name](session)
    explanation, text = await explain(backend, lines_of(headers))
    assert explanation.refusal is None
    assert set(outcomes(text)) <= {"ok", "note"}
    assert text.splitlines()[-1] == "user     ann"
    assert not secrets_in(text, headers, session)


@pytest.mark.parametrize("name", [*FORGERIES, *VALID])
async def test_explanation_is_what_the_service_does(log_events: LogEvents, name: str) -> None:
    """For each forgery, the reason of the explanation is that of the access log."""
    refusals.forget_warnings()
    backend, session = backend_with({})
    headers = {**FORGERIES, **VALID}[name](session)
    raw = [(n.lower().encode(), v.encode()) for n, v in headers]
    before = snapshot(backend.store)
    explanation = await examine(backend.service, backend.settings, StarletteHeaders(raw=raw))
    assert snapshot(backend.store) == before
    text = render(explanation, backend.settings, backend.service.cookies.name)
    response = await send_json(backend.app, "GET", TASKS, headers)
    access_log.flush()
    line = [line for line in log_events if line["event"] == "request"][-1]
    assert line.get("reason") == (explanation.refusal and explanation.refusal.reason.value)
    assert (response.status_code == 200) == (explanation.failed is None)
    assert line["user_id"] == (explanation.identity and explanation.identity.user.id)
    assert not secrets_in(text, headers, session)


@pytest.mark.parametrize("authorization", ["", "Basic YTpi", "Token x", "Bearer", "Bearer x"])
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("cookie", [None, "", "theme=dark", "x.session_token=x", "valid", "two"])
async def test_explanation_of_two_headers_is_what_the_service_does(
    log_events: LogEvents, authorization: str, number: int, cookie: str | None
) -> None:
    backend, session = backend_with({})
    headers = [("Authorization", authorization)] * number
    [(_, valid), _] = cookie_of(session)
    values = {"valid": valid, "two": f"{valid}; {valid}x"}
    if cookie is not None:
        headers.append(("Cookie", values.get(cookie, cookie)))
    explanation, text = await explain(backend, lines_of(headers))
    await send_json(backend.app, "GET", TASKS, headers)
    access_log.flush()
    line = [line for line in log_events if line["event"] == "request"][-1]
    assert line.get("reason") == (explanation.refusal and explanation.refusal.reason.value)
    assert not secrets_in(text, headers, session)


JWT_DEFECTS: Final[dict[str, dict[str, Any]]] = {
    "claims are there and of their types": {"sub": None},
    "typ": {"header": {"typ": "at+jwt"}},
    "exp, nbf and iat": {"exp": 1},
    "alg": {"header": {"alg": "HS512"}},
    "purpose": {"azp": "x"},
    "iss": {"iss": "https://evil.example"},
    "aud": {"aud": "https://evil.example"},
    "kid": {"header": {"kid": None}},
    "key": {"header": {"kid": "unknown"}},
    "signature": {"key": ATTACKER_KEY},
    "user in the database": {"sub": "nobody"},
}
SECRET_DEFECTS: Final[dict[str, dict[str, Any]]] = {
    "signature": {"key": b"x" * 64},
    "claims are there and of their types": {"sub": None},
    "typ": {"header": {"typ": "JWE"}},
    "exp, nbf and iat": {"nbf": 2**32},
    "purpose": {"session": {}},
    "iss": {"iss": "https://evil.example"},
    "aud": {"aud": "https://evil.example"},
    "lifetime": {"exp": 2**32},
    "user in the database": {"sub": "nobody", "email": None},
}


VERIFIERS: Final = {
    CredentialKind.JWT: (tokens, claims, jwts),
    CredentialKind.ACCESS_TOKEN: (tokens, claims, access_tokens),
    CredentialKind.SHARED_SECRET: (tokens, claims, shared_secret),
}


@pytest.mark.parametrize("kind", VERIFIERS)
def test_steps_have_every_reason_of_their_verifier(kind: CredentialKind) -> None:
    """A reason without a step could not be explained."""
    used = {
        Reason[name]
        for module in VERIFIERS[kind]
        for name in re.findall(r"Reason\.([A-Z_]+)", inspect.getsource(module))
    }
    explained = {reason for step in STEPS[kind] for reason in step.reasons}
    assert used <= explained


async def test_lifetime_of_a_jwt_is_a_step() -> None:
    backend, _ = backend_with({"jwt_max_lifetime": 60})
    explanation, text = await explain(backend, plugin_token())
    assert explanation.failed is not None
    assert explanation.failed.name == "lifetime", text
    assert "JWT_MAX_LIFETIME" in text


def merged(*defects: dict[str, Any]) -> dict[str, Any] | None:
    """All defects in one; None if they contradict each other."""
    header: dict[str, Any] = {}
    members: dict[str, Any] = {}
    for defect in defects:
        changes = {**defect}
        more = changes.pop("header", {})
        if header.keys() & more.keys() or members.keys() & changes.keys():
            return None
        header |= more
        members |= changes
    return {**members, "header": header}


@pytest.mark.parametrize("first", JWT_DEFECTS)
@pytest.mark.parametrize("second", JWT_DEFECTS)
async def test_steps_of_a_jwt_are_in_the_order_of_the_checks(first: str, second: str) -> None:
    """Of two defects, the explanation names the one whose step comes first: it says ok only of
    checks that were made.
    """
    defect = merged(JWT_DEFECTS[first], JWT_DEFECTS[second]) if first != second else None
    names = [step.name for step in STEPS[CredentialKind.JWT]]
    if defect is None or names.index(first) > names.index(second):
        return
    backend, _ = backend_with({})
    key, header = defect.pop("key", OWN_KEY), defect.pop("header")
    token = key.token(plugin_claims(**defect), **{"kid": OWN_KEY.kid, **header})
    explanation, text = await explain(backend, token)
    assert explanation.failed is not None
    assert explanation.failed.name == first, text


@pytest.mark.parametrize(("first", "second"), [*combinations(SECRET_DEFECTS, 2)])
async def test_steps_of_a_shared_secret_token_are_in_the_order_of_the_checks(
    first: str, second: str
) -> None:
    names = [step.name for step in STEPS[CredentialKind.SHARED_SECRET]]
    assert names.index(first) < names.index(second)
    defect = merged(SECRET_DEFECTS[first], SECRET_DEFECTS[second])
    if defect is None:
        return
    backend, _ = backend_with({})
    key, header = defect.pop("key", SECRET.encode()), defect.pop("header")
    explanation, text = await explain(backend, hs256(shared_claims(**defect), key, **header))
    assert explanation.failed is not None
    assert explanation.failed.name == first, text


async def test_origin_is_examined_if_it_is_given() -> None:
    backend, session = backend_with({})
    [cookie, origin] = cookie_of(session)
    for headers, word in (
        ([cookie], "-"),
        ([cookie, origin], "ok"),
        ([cookie, ("Origin", "https://evil.example")], "wrong"),
        ([cookie, ("Referer", f"{ORIGIN}/page?x=1")], "ok"),
        ([cookie, ("Sec-Fetch-Site", "same-origin")], "ok"),
    ):
        _, text = await explain(backend, lines_of(headers))
        [line] = [line for line in text.splitlines() if "origin, for changes" in line]
        assert line.split()[0] == word
        assert "user     ann" in text


async def test_place_of_the_key_is_told() -> None:
    backend, _ = backend_with({})
    _, text = await explain(backend, plugin_token())
    assert f"note   its key {OWN_KEY.kid} is in the table" in text
    published = public_key(REMOTE_KEY.jwk())
    assert published is not None
    keys = FakeRemoteKeys({REMOTE_KEY.kid: published})
    remote = build_backend({RemoteKeys: keys})
    token = REMOTE_KEY.token(plugin_claims())
    _, text = await explain(remote, token)
    assert f"note   its key {REMOTE_KEY.kid} comes from {keys.url}" in text
    assert "creates or updates the user" in text


async def test_query_of_the_url_of_keys_is_not_printed() -> None:
    url = "https://keys.example/jwks"
    published = public_key(REMOTE_KEY.jwk())
    assert published is not None
    keys = FakeRemoteKeys({REMOTE_KEY.kid: published}, f"{url}?key=canary")
    backend = build_backend({RemoteKeys: keys}, better_auth_jwks_url=keys.url)
    for key in (REMOTE_KEY, ATTACKER_KEY):
        _, text = await explain(backend, key.token(plugin_claims()))
        assert "canary" not in text
        assert key is ATTACKER_KEY or text.count(url) == 2


async def test_user_who_would_be_created_is_not() -> None:
    backend, _ = backend_with({})
    before = snapshot(backend.store)
    explanation, text = await explain(backend, shared_secret_token("new"))
    assert explanation.refusal is None
    assert "creates or updates the user" in text
    newer = {"name": "New", "updatedAt": "2100-01-01T00:00:00Z", "iat": now(), "exp": now() + 60}
    _, text = await explain(
        backend, sign_with_secret({"sub": "ann", "email": "ann@example.com", **newer})
    )
    assert snapshot(backend.store) == before
    taken = shared_secret_token("new", email="bob@example.com")
    explanation, text = await explain(backend, taken)
    assert "409 EMAIL_TAKEN" in text
    assert explanation.identity is None
    assert snapshot(backend.store) == before
