"""Who is asking: tokens that the front end's server signs, and the users that they bring along."""

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
from tests.http.backend import build_backend
from tests.http.client import SECRET, client_of, code, new_task, token

PATH = "/api/tasks"
DAY = 86_400


def now() -> int:
    return int(time.time())


def signed(claims: dict[str, Any], *, secret: str = SECRET, **header: Any) -> str:
    return jwt.encode(claims, secret, headers=header or None)


def claims(**changes: Any) -> dict[str, Any]:
    said = {"sub": "ann", "email": "ann@example.com", "iat": now(), "exp": now() + 900, **changes}
    return {name: value for name, value in said.items() if value is not None}


def unsigned(said: dict[str, Any]) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, said)
    encoded = [
        base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts
    ]
    return ".".join(encoded) + "."


def tampered(good: str) -> str:
    """Somebody else in the claims, and a signature that is well formed."""
    header, _, signature = good.split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).rstrip(b"=").decode()
    return f"{header}.{other}.{signature}"


async def show(client: httpx.AsyncClient, shown: str) -> httpx.Response:
    return await client.get(PATH, headers={"Authorization": shown})


# Made when they are shown: a test run may last longer than a token may be old.
BELIEVED: list[Callable[[], dict[str, Any]]] = [
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


@pytest.mark.parametrize("said", BELIEVED)
async def test_tokens_that_are_believed(
    nobody: httpx.AsyncClient, said: Callable[[], dict[str, Any]]
) -> None:
    assert (await show(nobody, f"Bearer {signed(said())}")).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
async def test_the_scheme_in_any_case(nobody: httpx.AsyncClient, scheme: str) -> None:
    assert (await show(nobody, scheme + token())).status_code == 200


FORGED: dict[str, Callable[[], str]] = {
    "another secret": lambda: signed(claims(), secret="x" * 40),
    "no algorithm": lambda: unsigned(claims()),
    "another HMAC": lambda: jwt.encode(claims(), SECRET, "HS512"),
    "tampered": lambda: tampered(token()),
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
    "an exp beyond all time": lambda: signed(claims(exp=10**400)),
    "an exp at infinity": lambda: signed(claims(exp=float("inf"))),
    "issued in the future": lambda: signed(claims(iat=now() + 61)),
    "an iat that is no number": lambda: signed(claims(iat="now")),
    "an iat before time": lambda: signed(claims(iat=-1)),
    "not yet valid": lambda: signed(claims(nbf=now() + 61)),
    "lives too long": lambda: signed(claims(exp=now() + 7 * DAY + 60)),
    "lives too long without iat": lambda: signed(claims(iat=None, exp=now() + 7 * DAY + 120)),
    "another issuer": lambda: signed(claims(iss="http://localhost:3001")),
    "an issuer with a path": lambda: signed(claims(iss="http://localhost:3000/")),
    "another audience": lambda: signed(claims(aud="better-auth:session-cache")),
    "an audience among others": lambda: signed(claims(aud=["other"])),
    "an access token": lambda: signed(claims(), typ="at+jwt"),
    "a session cache": lambda: signed(claims(), typ="better-auth.session-cache+jwt"),
    "critical headers": lambda: signed(claims(), crit=["exp"]),
    "a cookie cache": lambda: signed(claims(session={"token": "x"}, user={"id": "ann"})),
    "a mail verification": lambda: signed(
        {"email": "a@example.com", "iat": now(), "exp": now() + 900}
    ),
    "a mail change": lambda: signed(claims(updateTo="b@example.com")),
    "too long": lambda: signed(claims(filler="x" * 9_000)),
    "two parts": lambda: token().rpartition(".")[0],
    "four parts": lambda: token() + ".x",
    "no base64": lambda: "a.b.c",
    "a word": lambda: "token",
    "not ascii": lambda: "ä.ö.ü",
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_tokens_that_are_not_believed(
    nobody: httpx.AsyncClient, forged: Callable[[], str]
) -> None:
    answer = await nobody.get(PATH, headers={b"Authorization": f"Bearer {forged()}".encode()})
    assert code(answer) == (401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize(
    "shown", ["", "Bearer", "Bearer ", "Basic YTpi", token(), f"Token {token()}"]
)
async def test_what_is_no_bearer(nobody: httpx.AsyncClient, shown: str) -> None:
    assert code(await show(nobody, shown)) == (401, "UNAUTHENTICATED")


async def test_two_headers_are_no_credential(nobody: httpx.AsyncClient) -> None:
    """Somebody on the way might judge by the other one."""
    shown = [("Authorization", f"Bearer {token()}"), ("Authorization", "Bearer other")]
    assert code(await nobody.get(PATH, headers=shown)) == (401, "UNAUTHENTICATED")


async def test_a_token_in_the_query_is_never_read(nobody: httpx.AsyncClient) -> None:
    for name in ("token", "access_token"):
        answer = await nobody.get(f"{PATH}?{name}={token()}")
        assert code(answer) == (401, "UNAUTHENTICATED")


async def test_a_remembered_token_still_expires(
    nobody: httpx.AsyncClient, moment: FixedClock
) -> None:
    shown = f"Bearer {token()}"
    assert (await show(nobody, shown)).status_code == 200
    moment.advance(70 * 365 * DAY)
    assert code(await show(nobody, shown)) == (401, "UNAUTHENTICATED")


async def test_such_tokens_can_be_turned_off() -> None:
    app = build_backend(shared_secret_tokens=False).app
    async with client_of(app, "ann") as client:
        assert code(await client.get(PATH)) == (401, "UNAUTHENTICATED")


async def test_a_token_without_an_address_needs_a_user(nobody: httpx.AsyncClient) -> None:
    for said in (claims(email=None), claims(email="no address"), claims(email=5)):
        answer = await show(nobody, f"Bearer {signed(said)}")
        assert code(answer) == (401, "UNKNOWN_USER")
    assert (await show(nobody, f"Bearer {signed(claims())}")).status_code == 200
    assert (await show(nobody, f"Bearer {signed(claims(email=None))}")).status_code == 200


async def test_first_sight_makes_the_user(service: Service, nobody: httpx.AsyncClient) -> None:
    said = claims(email="Ann@Example.com", name="Zoë\0\ud800", image="i", emailVerified=True)
    await show(nobody, f"Bearer {signed(said)}")
    users = service.users
    user = await users.get("ann", issued_at=None)
    assert (user.email, user.name, user.image) == ("ann@example.com", "Zoë\ufffd", "i")
    assert not user.email_verified


async def test_an_address_of_another_user(nobody: httpx.AsyncClient) -> None:
    await show(nobody, f"Bearer {signed(claims())}")
    answer = await show(nobody, f"Bearer {signed(claims(sub='other'))}")
    assert code(answer) == (409, "EMAIL_TAKEN")


async def test_only_newer_claims_change_the_user(
    service: Service, nobody: httpx.AsyncClient
) -> None:
    users = service.users

    async def name_after(**said: Any) -> str:
        await show(nobody, f"Bearer {signed(claims(**said))}")
        return (await users.get("ann", issued_at=None)).name

    assert await name_after(name="one", updatedAt="2026-01-01T00:00:00.000Z") == "one"
    assert await name_after(name="no date") == "one"
    assert await name_after(name="older", updatedAt="2025-01-01T00:00:00.000Z") == "one"
    assert await name_after(name="same", updatedAt="2026-01-01T00:00:00.000Z") == "one"
    for nonsense in ("soon", "9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00", 5, None):
        assert await name_after(name="nonsense", updatedAt=nonsense) == "one"
    assert await name_after(name="naive", updatedAt="2027-01-01T00:00:00") == "one"
    assert await name_after(name="two", updatedAt="2026-01-02T00:00:00.000Z") == "two"
    # One that was newer once is old by now.
    assert await name_after(name="one", updatedAt="2026-01-01T12:00:00.000Z") == "two"


async def test_a_token_of_few_words_erases_nothing(
    service: Service, nobody: httpx.AsyncClient
) -> None:
    users = service.users
    first = claims(name="Ann", image="i", updatedAt="2026-01-01T00:00:00Z")
    await show(nobody, f"Bearer {signed(first)}")
    await show(nobody, f"Bearer {signed(claims(updatedAt='2026-01-02T00:00:00Z'))}")
    user = await users.get("ann", issued_at=None)
    assert (user.name, user.image) == ("Ann", "i")


async def test_a_new_address_starts_unproven(service: Service, nobody: httpx.AsyncClient) -> None:
    users = service.users
    await show(nobody, f"Bearer {signed(claims(updatedAt='2026-01-01T00:00:00Z'))}")
    user = await users.get("ann", issued_at=None)
    user.email_verified = True
    user.updated_at = user.updated_at.replace(month=2)
    await users.save(user)
    await show(nobody, f"Bearer {signed(claims(name='x', updatedAt='2026-03-01T00:00:00Z'))}")
    assert (await users.get("ann", issued_at=None)).email_verified
    said = claims(email="new@example.com", updatedAt="2026-04-01T00:00:00Z")
    await show(nobody, f"Bearer {signed(said)}")
    changed = await users.get("ann", issued_at=None)
    assert (changed.email, changed.email_verified) == ("new@example.com", False)


async def test_a_deleted_account_stays_deleted(service: Service, ann: httpx.AsyncClient) -> None:
    """Neither a token from before nor one that does not say when brings it back."""
    await new_task(ann)
    await service.users.remove("ann")
    for said in (claims(iat=now() - 5), claims(iat=None)):
        assert code(await show(ann, f"Bearer {signed(said)}")) == (401, "UNKNOWN_USER")
    later = await show(ann, f"Bearer {signed(claims(iat=now() + 2))}")
    assert later.json()["total"] == 0


async def test_a_token_for_development(service: Service, nobody: httpx.AsyncClient) -> None:
    issue = service.use_cases.issue_development_token
    first = await issue("Ann@example.com", new_id="a")
    second = await issue("ann@example.com", new_id="b")
    assert (await show(nobody, f"Bearer {first}")).status_code == 200
    subjects = [jwt.decode(t, SECRET, ["HS256"])["sub"] for t in (first, second)]
    assert subjects == ["a", "a"]
