"""Tokens of the shared secret, and the users that their claims create and update."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest

from entrypoints.container import Service
from tests.conftest import FixedClock
from tests.http.api import TASKS
from tests.http.backend import build_backend
from tests.http.client import SECRET, client_of, error_of, new_task, shared_secret_token
from tests.http.credentials import bearer

DAY = 86_400


def now() -> int:
    return int(time.time())


def signed(claims: dict[str, Any], *, secret: str = SECRET, **header: Any) -> str:
    return jwt.encode(claims, secret, headers=header or None)


def claims(**changes: Any) -> dict[str, Any]:
    all_claims = {
        "sub": "ann",
        "email": "ann@example.com",
        "iat": now(),
        "exp": now() + 900,
        **changes,
    }
    return {name: value for name, value in all_claims.items() if value is not None}


def unsigned(payload: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, payload)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    ]
    return ".".join(encoded) + "."


def tampered(token: str) -> str:
    """The token with another user in its claims and its old signature."""
    header, _, signature = token.split(".")
    payload = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).rstrip(b"=").decode()
    return f"{header}.{payload}.{signature}"


async def get_tasks(client: httpx.AsyncClient, authorization: str) -> httpx.Response:
    return await client.get(TASKS, headers={"Authorization": authorization})


# Functions, because a test run may take longer than a token is valid.
ACCEPTED: list[Callable[[], dict[str, Any]]] = [
    claims,
    lambda: claims(iat=None),
    lambda: claims(iss="http://localhost:3000", aud="http://localhost:3000"),
    lambda: claims(aud=["http://localhost:3000", "other"]),
    lambda: claims(exp=now() - 25),
    lambda: claims(iat=now() + 25),
    lambda: claims(exp=now() + 7 * DAY - 5, iat=now() - 5),
    lambda: claims(iat=None, exp=now() + 7 * DAY),
    lambda: claims(name="Zoë", image=None, emailVerified=True),
    lambda: claims(iat=now() - 0.5, exp=now() + 0.5),
]


@pytest.mark.parametrize("make_claims", ACCEPTED)
async def test_valid_tokens_are_accepted(
    anonymous: httpx.AsyncClient, make_claims: Callable[[], dict[str, Any]]
) -> None:
    assert (await get_tasks(anonymous, f"Bearer {signed(make_claims())}")).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_scheme_is_case_insensitive(anonymous: httpx.AsyncClient, scheme: str) -> None:
    assert (await get_tasks(anonymous, scheme + shared_secret_token())).status_code == 200


FORGED: dict[str, Callable[[], str]] = {
    "another secret": lambda: signed(claims(), secret="x" * 40),
    "no algorithm": lambda: unsigned(claims()),
    "another HMAC": lambda: jwt.encode(claims(), SECRET, "HS512"),
    "tampered": lambda: tampered(shared_secret_token()),
    "no sub": lambda: signed(claims(sub=None)),
    "an empty sub": lambda: signed(claims(sub="")),
    "a sub with a surrogate": lambda: signed(claims(sub="a\ud800")),
    "a sub with a line break": lambda: signed(claims(sub="a\nb")),
    "a sub with NUL": lambda: signed(claims(sub="a\0b")),
    "a long sub": lambda: signed(claims(sub="x" * 256)),
    "no exp": lambda: signed(claims(exp=None)),
    "expired": lambda: signed(claims(exp=now() - 61, iat=now() - 900)),
    "an exp that is no number": lambda: signed(claims(exp="tomorrow")),
    "an exp that is true": lambda: signed(claims(exp=True)),
    "an exp beyond all dates": lambda: signed(claims(exp=10**400)),
    "an exp at infinity": lambda: signed(claims(exp=float("inf"))),
    "issued in the future": lambda: signed(claims(iat=now() + 61)),
    "an iat that is no number": lambda: signed(claims(iat="now")),
    "a negative iat": lambda: signed(claims(iat=-1)),
    "not yet valid": lambda: signed(claims(nbf=now() + 61)),
    "too long a lifetime": lambda: signed(claims(exp=now() + 7 * DAY + 60)),
    "too long a lifetime without iat": lambda: signed(claims(iat=None, exp=now() + 7 * DAY + 120)),
    "another issuer": lambda: signed(claims(iss="http://localhost:3001")),
    "an issuer with a path": lambda: signed(claims(iss="http://localhost:3000/")),
    "another audience": lambda: signed(claims(aud="better-auth:session-cache")),
    "a list of other audiences": lambda: signed(claims(aud=["other"])),
    "an access token": lambda: signed(claims(), typ="at+jwt"),
    "a session cache": lambda: signed(claims(), typ="better-auth.session-cache+jwt"),
    "critical headers": lambda: signed(claims(), crit=["exp"]),
    "a cookie cache": lambda: signed(claims(session={"token": "x"}, user={"id": "ann"})),
    "an email verification": lambda: signed(
        {"email": "a@example.com", "iat": now(), "exp": now() + 900}
    ),
    "an email change": lambda: signed(claims(updateTo="b@example.com")),
    "too long": lambda: signed(claims(filler="x" * 9_000)),
    "two parts": lambda: shared_secret_token().rpartition(".")[0],
    "four parts": lambda: shared_secret_token() + ".x",
    "no base64": lambda: "a.b.c",
    "not a token": lambda: "token",
    "not ascii": lambda: "ä.ö.ü",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_forged_tokens_are_rejected(
    anonymous: httpx.AsyncClient, forged: Callable[[], str]
) -> None:
    response = await anonymous.get(TASKS, headers={b"Authorization": f"Bearer {forged()}".encode()})
    assert error_of(response) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YTpi",
        # Each test process makes tokens of its own; the name of a test must not depend on them.
        pytest.param(shared_secret_token(), id="no scheme"),
        pytest.param(f"Token {shared_secret_token()}", id="another scheme"),
    ],
)
async def test_other_schemes_are_rejected(anonymous: httpx.AsyncClient, authorization: str) -> None:
    assert error_of(await get_tasks(anonymous, authorization)) == (401, "UNAUTHENTICATED")


async def test_two_authorization_headers_are_rejected(anonymous: httpx.AsyncClient) -> None:
    """A proxy might evaluate the other one."""
    headers = bearer(shared_secret_token()) + bearer("other")
    assert error_of(await anonymous.get(TASKS, headers=headers)) == (401, "UNAUTHENTICATED")


async def test_token_in_the_query_is_rejected(anonymous: httpx.AsyncClient) -> None:
    for name in ("token", "access_token"):
        response = await anonymous.get(f"{TASKS}?{name}={shared_secret_token()}")
        assert error_of(response) == (401, "UNAUTHENTICATED")


async def test_cached_token_expires(anonymous: httpx.AsyncClient, frozen_clock: FixedClock) -> None:
    authorization = f"Bearer {shared_secret_token()}"
    assert (await get_tasks(anonymous, authorization)).status_code == 200
    frozen_clock.advance(70 * 365 * DAY)
    assert error_of(await get_tasks(anonymous, authorization)) == (401, "UNAUTHENTICATED")


async def test_shared_secret_tokens_can_be_disabled() -> None:
    app = build_backend(shared_secret_tokens=False).app
    async with client_of(app, "ann") as client:
        assert error_of(await client.get(TASKS)) == (401, "UNAUTHENTICATED")


async def test_token_without_an_email_needs_an_existing_user(anonymous: httpx.AsyncClient) -> None:
    for email in (None, "no address", 5):
        response = await get_tasks(anonymous, f"Bearer {signed(claims(email=email))}")
        assert error_of(response) == (401, "UNKNOWN_USER")
    assert (await get_tasks(anonymous, f"Bearer {signed(claims())}")).status_code == 200
    assert (await get_tasks(anonymous, f"Bearer {signed(claims(email=None))}")).status_code == 200


async def test_first_token_creates_the_user(service: Service, anonymous: httpx.AsyncClient) -> None:
    first = claims(email="Ann@Example.com", name="Zoë\0\ud800", image="i", emailVerified=True)
    await get_tasks(anonymous, f"Bearer {signed(first)}")
    users = service.users
    user = await users.get("ann", issued_at=None)
    assert (user.email, user.name, user.image) == ("ann@example.com", "Zoë\ufffd", "i")
    assert not user.email_verified


async def test_email_of_another_user_is_rejected(anonymous: httpx.AsyncClient) -> None:
    await get_tasks(anonymous, f"Bearer {signed(claims())}")
    response = await get_tasks(anonymous, f"Bearer {signed(claims(sub='other'))}")
    assert error_of(response) == (409, "EMAIL_TAKEN")


async def test_only_newer_claims_change_the_user(
    service: Service, anonymous: httpx.AsyncClient
) -> None:
    users = service.users

    async def name_after(**changes: Any) -> str:
        await get_tasks(anonymous, f"Bearer {signed(claims(**changes))}")
        return (await users.get("ann", issued_at=None)).name

    assert await name_after(name="one", updatedAt="2026-01-01T00:00:00.000Z") == "one"
    assert await name_after(name="no date") == "one"
    assert await name_after(name="older", updatedAt="2025-01-01T00:00:00.000Z") == "one"
    assert await name_after(name="same", updatedAt="2026-01-01T00:00:00.000Z") == "one"
    for nonsense in ("soon", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", 5, None):
        assert await name_after(name="nonsense", updatedAt=nonsense) == "one"
    assert await name_after(name="naive", updatedAt="2027-01-01T00:00:00") == "one"
    assert await name_after(name="two", updatedAt="2026-01-02T00:00:00.000Z") == "two"
    # Newer than the first, but older than the last.
    assert await name_after(name="one", updatedAt="2026-01-01T12:00:00.000Z") == "two"


async def test_absent_claims_erase_nothing(service: Service, anonymous: httpx.AsyncClient) -> None:
    users = service.users
    first = claims(name="Ann", image="i", updatedAt="2026-01-01T00:00:00Z")
    await get_tasks(anonymous, f"Bearer {signed(first)}")
    await get_tasks(anonymous, f"Bearer {signed(claims(updatedAt='2026-01-02T00:00:00Z'))}")
    user = await users.get("ann", issued_at=None)
    assert (user.name, user.image) == ("Ann", "i")


async def test_changed_email_is_unverified(service: Service, anonymous: httpx.AsyncClient) -> None:
    users = service.users
    await get_tasks(anonymous, f"Bearer {signed(claims(updatedAt='2026-01-01T00:00:00Z'))}")
    user = await users.get("ann", issued_at=None)
    user.email_verified = True
    user.updated_at = user.updated_at.replace(month=2)
    await users.save(user)
    await get_tasks(
        anonymous, f"Bearer {signed(claims(name='x', updatedAt='2026-03-01T00:00:00Z'))}"
    )
    assert (await users.get("ann", issued_at=None)).email_verified
    newest = claims(email="new@example.com", updatedAt="2026-04-01T00:00:00Z")
    await get_tasks(anonymous, f"Bearer {signed(newest)}")
    changed = await users.get("ann", issued_at=None)
    assert (changed.email, changed.email_verified) == ("new@example.com", False)


async def test_deleted_account_stays_deleted(service: Service, ann: httpx.AsyncClient) -> None:
    """A token from before the deletion, or without an `iat`, does not create it again."""
    await new_task(ann)
    await service.users.remove("ann")
    for issued_at in (now() - 5, None):
        token = signed(claims(iat=issued_at))
        assert error_of(await get_tasks(ann, f"Bearer {token}")) == (401, "UNKNOWN_USER")
    # Nor does one that was issued within an hour after it, whenever it claims to have been issued.
    for issued_at in (now() + 2, now() + 3_590):
        token = signed(claims(iat=issued_at))
        assert error_of(await get_tasks(ann, f"Bearer {token}"))[0] == 401


async def test_development_token_is_accepted(
    service: Service, anonymous: httpx.AsyncClient
) -> None:
    issue_token = service.use_cases.issue_development_token
    first = await issue_token("Ann@example.com", new_id="a")
    second = await issue_token("ann@example.com", new_id="b")
    assert (await get_tasks(anonymous, f"Bearer {first}")).status_code == 200
    subjects = [jwt.decode(t, SECRET, ["HS256"])["sub"] for t in (first, second)]
    assert subjects == ["a", "a"]
