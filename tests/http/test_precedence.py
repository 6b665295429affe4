"""Precedence of the credentials in one request: a bearer comes before a cookie."""

from typing import Final

import httpx
import pytest

from adapters.memory.store import MemoryStore
from domain.sessions import Session
from tests.http.api import VALIDATE
from tests.http.backend import build_backend
from tests.http.client import client_of, error_of, shared_secret_token
from tests.http.credentials import (
    BEARERS,
    COOKIE,
    CREDENTIALS,
    SESSIONLESS,
    Headers,
    access_token,
    bearer,
    plugin_token,
    signature,
    signed,
)
from tests.http.rows import DAY, add_key, add_session, add_user, snapshot

SECURE: Final = f"__Secure-{COOKIE}"


class CredentialClient:
    """Two sessions of Ann, one of Bob, and a client."""

    def __init__(self, store: MemoryStore, http: httpx.AsyncClient) -> None:
        self.store, self.http = store, http
        add_user(store)
        add_user(store, "bob")
        add_key(store)
        self.session = add_session(store)
        self.other_session = add_session(store, name="Other")
        self.bobs_session = add_session(store, "bob")

    async def validate(self, headers: Headers) -> httpx.Response:
        return await self.http.get(VALIDATE, headers=headers)

    async def identity(self, headers: Headers) -> tuple[str, str, str | None]:
        """The id of the user, the kind of the credential, and the id of the session."""
        response = await self.validate(headers)
        assert response.status_code == 200, response.text
        body = response.json()
        session = body["session"]
        return body["user"]["id"], body["credential"], session and session["id"]

    async def assert_rejected(self, headers: Headers) -> None:
        before = snapshot(self.store)
        response = await self.validate(headers)
        assert error_of(response) == (401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert "set-cookie" not in response.headers
        assert snapshot(self.store) == before


@pytest.fixture
def client(store: MemoryStore, anonymous: httpx.AsyncClient) -> CredentialClient:
    return CredentialClient(store, anonymous)


def cookie_header(*values: str) -> Headers:
    """One `Cookie` header with several session cookies."""
    return [("Cookie", "; ".join(f"{COOKIE}={value}" for value in values))]


def signed_token_of(session: Session) -> str:
    return signed(session.token)


# A bearer and a cookie


@pytest.mark.parametrize("name", BEARERS)
async def test_bearer_takes_precedence_over_a_cookie(client: CredentialClient, name: str) -> None:
    kind, headers_of = CREDENTIALS[name]
    cookie = cookie_header(signed_token_of(client.other_session))
    session_id = None if name in SESSIONLESS else client.session.id
    identity = await client.identity(headers_of(client.session) + cookie)
    assert identity == ("ann", kind.value, session_id)


INVALID_BEARERS: Final = {
    "an unknown session token": "B" * 32,
    "a session token signed with another secret": f"{'B' * 32}.{signature('B' * 32, 'x' * 40)}",
    "an empty token": "",
    "not a token": "not a token",
}


@pytest.mark.parametrize("token", INVALID_BEARERS.values(), ids=INVALID_BEARERS.keys())
async def test_invalid_bearer_with_a_valid_cookie_is_rejected(
    client: CredentialClient, token: str
) -> None:
    await client.assert_rejected(bearer(token) + cookie_header(signed_token_of(client.session)))


async def test_expired_bearer_with_a_valid_cookie_is_rejected(client: CredentialClient) -> None:
    ended = add_session(client.store, name="Ended")
    tokens = [
        ended.token,
        access_token(ended),
        access_token(client.session, exp=1),
        access_token(client.session, "x" * 40),
    ]
    del client.store.sessions[ended.id]
    for token in tokens:
        await client.assert_rejected(bearer(token) + cookie_header(signed_token_of(client.session)))


OTHER_SCHEMES: Final = ("", " ", "Basic YTpi", "basic", "Digest a, b", "Cookie", "Bearers x", "x")


@pytest.mark.parametrize("authorization", OTHER_SCHEMES)
async def test_valid_cookie_counts_beside_another_scheme(
    client: CredentialClient, authorization: str
) -> None:
    """A proxy in front may ask for a password, which the browser then sends with each request."""
    header = [("Authorization", authorization)]
    cookie = cookie_header(signed_token_of(client.session))
    assert await client.identity(header + cookie) == ("ann", "cookie", client.session.id)
    await client.assert_rejected(header)
    await client.assert_rejected(header + cookie_header(signed("N" * 32)))
    await client.assert_rejected(header + cookie + cookie_header(signed("N" * 32)))
    # The cookie proves the change, so its origin is checked.
    response = await client.http.post("/api/tasks", json={"title": "x"}, headers=header + cookie)
    assert error_of(response) == (403, "CROSS_SITE_REQUEST")


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "bearer ",
        "Bearer\tx",
        "Bearer,x",
        "Bearer=x",
        "BEARER:",
        "Basic YTpi, Bearer x",
        "Basic YTpi,bearer",
    ],
)
async def test_malformed_bearer_with_a_valid_cookie_is_rejected(
    client: CredentialClient, authorization: str
) -> None:
    """Also one that a proxy joined to another credential."""
    await client.assert_rejected(
        [("Authorization", authorization), *cookie_header(signed_token_of(client.session))]
    )


INVALID_COOKIES: Final = {
    "signed with another secret": signed("TokenOfAnnOther" + "0" * 17, "x" * 40),
    "signed with another secret, of another user": signed("TokenOfBob" + "0" * 22, "x" * 40),
    "of an unknown session": signed("N" * 32),
    "unsigned": "TokenOfBob" + "0" * 22,
    "badly signed": f"TokenOfBob{'0' * 22}.{'A' * 43}%3D",
    "a signature alone": f".{'A' * 43}=",
    "empty": "",
    "expired": signed("TokenOfAnnExpired" + "0" * 15),
    "expired, of another user": signed("TokenOfBobExpired" + "0" * 15),
}


@pytest.mark.parametrize("value", INVALID_COOKIES.values(), ids=INVALID_COOKIES.keys())
async def test_invalid_cookie_with_a_valid_bearer_is_ignored(
    client: CredentialClient, value: str
) -> None:
    for user_id in ("ann", "bob"):
        past = client.session.created_at - 8 * DAY
        add_session(client.store, user_id, "Expired", created_at=past, expires_at=past + 6.9 * DAY)
    await client.assert_rejected(cookie_header(value))
    for name, headers_of in BEARERS.items():
        identity = await client.identity(headers_of(client.session) + cookie_header(value))
        assert identity[:2] == ("ann", CREDENTIALS[name][0].value)


@pytest.mark.parametrize("name", BEARERS)
async def test_cookie_of_another_user_is_rejected(client: CredentialClient, name: str) -> None:
    await client.assert_rejected(
        BEARERS[name](client.session) + cookie_header(signed_token_of(client.bobs_session))
    )


async def test_cookie_of_another_user_changes_nothing(client: CredentialClient) -> None:
    """Nor does the response reveal whose cookie it is."""
    headers = bearer(shared_secret_token()) + cookie_header(signed_token_of(client.bobs_session))
    before = snapshot(client.store)
    responses = [
        await client.http.post("/api/tasks", json={"title": "x"}, headers=headers),
        await client.http.delete("/api/users/me", headers=headers),
        await client.http.delete(
            f"/api/users/me/sessions/{client.bobs_session.id}", headers=headers
        ),
    ]
    for response in responses:
        assert error_of(response) == (401, "UNAUTHENTICATED")
        assert "bob" not in response.text
    assert snapshot(client.store) == before


# Several cookies


async def test_contradicting_cookies_are_rejected(client: CredentialClient) -> None:
    """Even if both are valid, or one is invalid, or there is a bearer: it is ambiguous."""
    valid = signed_token_of(client.session)
    for other in (
        signed_token_of(client.other_session),
        signed_token_of(client.bobs_session),
        signed("N" * 32),
        "x",
        "",
    ):
        for values in ((valid, other), (other, valid), (valid, other, valid)):
            await client.assert_rejected(cookie_header(*values))
            await client.assert_rejected(bearer(shared_secret_token()) + cookie_header(*values))
            await client.assert_rejected([header for v in values for header in cookie_header(v)])


async def test_same_cookie_twice_is_accepted(client: CredentialClient) -> None:
    valid = signed_token_of(client.session)
    for headers in (cookie_header(valid, valid), cookie_header(valid) + cookie_header(valid)):
        assert await client.identity(headers) == ("ann", "cookie", client.session.id)


async def test_other_cookies_are_ignored(client: CredentialClient) -> None:
    valid, bobs = signed_token_of(client.session), signed_token_of(client.bobs_session)
    names = [
        "theme",
        "better-auth.session_data",
        "better-auth.session_token2",
        "better-auth.session",
        "better-auth-session_token",
        "Better-Auth.Session_Token",
        "my-better-auth.session_token",
        "session_token",
        SECURE,
        f"__Host-{COOKIE}",
    ]
    others = "; ".join(f"{name}={bobs}" for name in names)
    await client.assert_rejected([("Cookie", others)])
    for value in (f"{others}; {COOKIE}={valid}", f"{COOKIE}={valid}; {others}"):
        assert await client.identity([("Cookie", value)]) == (
            "ann",
            "cookie",
            client.session.id,
        )


async def test_several_cookie_headers_are_joined(client: CredentialClient) -> None:
    """HTTP/2 splits them (RFC 9113, 8.2.3)."""
    valid = cookie_header(signed_token_of(client.session))
    for headers in ([("Cookie", "a=b"), *valid], [*valid, ("Cookie", "a=b"), ("Cookie", "")]):
        assert await client.identity(headers) == ("ann", "cookie", client.session.id)
    await client.assert_rejected(valid + cookie_header(signed_token_of(client.bobs_session)))


async def test_cookie_formats_of_better_auth_are_accepted(client: CredentialClient) -> None:
    """Percent-encoded or not, in quotation marks, with spaces around."""
    token = client.session.token
    plain, encoded = f"{token}.{signature(token)}", signed(token)
    for value in (plain, f'"{plain}"', f'"{encoded}"', f" {encoded} "):
        assert (await client.identity(cookie_header(value)))[0] == "ann"
    headers = [("Cookie", f"a;{COOKIE} = {encoded};b=")]
    assert (await client.identity(headers))[0] == "ann"


@pytest.mark.parametrize(
    ("url", "read", "ignored"),
    [("https://app.example.com", SECURE, COOKIE), ("http://localhost:3000", COOKIE, SECURE)],
)
async def test_only_one_cookie_name_is_read(url: str, read: str, ignored: str) -> None:
    """Or a page on plain http could override the cookie of the https site with its own."""
    backend = build_backend(better_auth_url=url)
    async with client_of(backend.app) as http:
        client = CredentialClient(backend.store, http)
        valid, bobs = signed_token_of(client.session), signed_token_of(client.bobs_session)
        await client.assert_rejected([("Cookie", f"{ignored}={valid}")])
        for value in (f"{read}={valid}; {ignored}={bobs}", f"{ignored}={bobs}; {read}={valid}"):
            assert (await client.identity([("Cookie", value)]))[0] == "ann"
        with_bearer = [*bearer(shared_secret_token()), ("Cookie", f"{ignored}={bobs}")]
        assert (await client.identity(with_bearer))[0] == "ann"


# Other places


async def test_two_authorization_headers_are_rejected(client: CredentialClient) -> None:
    """Even with equal values: a proxy might evaluate the other one."""
    valid = bearer(shared_secret_token())
    for other in (valid, bearer(shared_secret_token("bob")), bearer("x"), [("Authorization", "")]):
        await client.assert_rejected(valid + other)
        await client.assert_rejected(other + valid + cookie_header(signed_token_of(client.session)))


@pytest.mark.parametrize(
    "name", ["token", "access_token", "session_token", "bearer_token", "authorization", COOKIE]
)
async def test_token_in_the_query_is_rejected(client: CredentialClient, name: str) -> None:
    session = client.session
    tokens = [shared_secret_token(), access_token(session), plugin_token(), session.token]
    for value in (*tokens, signed_token_of(session)):
        response = await client.http.get(VALIDATE, params={name: value})
        assert error_of(response) == (401, "UNAUTHENTICATED")
    response = await client.http.get(
        VALIDATE, params={name: shared_secret_token("bob")}, headers=bearer(shared_secret_token())
    )
    assert error_of(response) == (422, "VALIDATION_ERROR")


async def test_token_in_a_body_or_another_header_is_rejected(client: CredentialClient) -> None:
    session = client.session
    names = ("X-Authorization", "X-Access-Token", "Proxy-Authorization", "Set-Auth-Token")
    for name in names:
        await client.assert_rejected(
            [(name, f"Bearer {shared_secret_token()}"), ("X-Session", session.token)]
        )
    body = {"title": "x", "token": session.token, "user_id": "ann"}
    response = await client.http.post("/api/tasks", json=body)
    assert error_of(response) == (401, "UNAUTHENTICATED")
