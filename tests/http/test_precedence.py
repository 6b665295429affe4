"""Which of the credentials in a request decides, and what becomes of those beside it."""

from typing import Final

import httpx
import pytest

from adapters.memory.store import MemoryStore
from domain.sessions import Session
from tests.http.backend import build_backend
from tests.http.client import client_of, code, token
from tests.http.people import (
    BEARERS,
    COOKIE,
    DAY,
    PROOFS,
    Headers,
    access_token,
    add_key,
    add_session,
    add_user,
    bearer,
    contents,
    plugin_token,
    signature,
    signed,
)

VALIDATE: Final = "/api/auth/session/validate"
SECURE: Final = f"__Secure-{COOKIE}"


class World:
    """Ann, signed in twice, and Bob."""

    def __init__(self, store: MemoryStore, client: httpx.AsyncClient) -> None:
        self.store, self.client = store, client
        add_user(store)
        add_user(store, "bob")
        add_key(store)
        self.session = add_session(store)
        self.other = add_session(store, name="Other")
        self.bobs = add_session(store, "bob")

    async def ask(self, headers: Headers) -> httpx.Response:
        return await self.client.get(VALIDATE, headers=headers)

    async def who(self, headers: Headers) -> tuple[str, str, str | None]:
        """The user that an answer is for, the credential, and the session that it stands for."""
        answer = await self.ask(headers)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        session = body["session"]
        return body["user"]["id"], body["credential"], session and session["id"]

    async def assert_refused(self, headers: Headers) -> None:
        before = contents(self.store)
        answer = await self.ask(headers)
        assert code(answer) == (401, "UNAUTHENTICATED")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert "set-cookie" not in answer.headers
        assert contents(self.store) == before


@pytest.fixture
def world(store: MemoryStore, nobody: httpx.AsyncClient) -> World:
    return World(store, nobody)


def cookies(*values: str) -> Headers:
    """One `Cookie` header: session cookies with these values."""
    return [("Cookie", "; ".join(f"{COOKIE}={value}" for value in values))]


def of(session: Session) -> str:
    return signed(session.token)


# The bearer decides


@pytest.mark.parametrize("name", BEARERS)
async def test_the_bearer_decides(world: World, name: str) -> None:
    kind, show = PROOFS[name]
    found = await world.who(show(world.session) + cookies(of(world.other)))
    stands_for = kind.value in ("session_token", "access_token")
    assert found == ("ann", kind.value, world.session.id if stands_for else None)


BAD: Final = {
    "an unknown session token": "B" * 32,
    "a session token signed with another secret": f"{'B' * 32}.{signature('B' * 32, 'x' * 40)}",
    "nothing": "",
    "words": "not a token",
}


@pytest.mark.parametrize("shown", BAD.values(), ids=BAD.keys())
async def test_a_bad_bearer_beside_a_good_cookie(world: World, shown: str) -> None:
    await world.assert_refused(bearer(shown) + cookies(of(world.session)))


async def test_a_dead_bearer_beside_a_good_cookie(world: World) -> None:
    dead = add_session(world.store, name="Dead")
    shown = [
        dead.token,
        access_token(dead),
        access_token(world.session, exp=1),
        access_token(world.session, "x" * 40),
    ]
    del world.store.sessions[dead.id]
    for bad in shown:
        await world.assert_refused(bearer(bad) + cookies(of(world.session)))


@pytest.mark.parametrize("shown", ["", "Basic YTpi", "Bearer", "Cookie", "Token x"])
async def test_what_is_no_bearer_decides_as_well(world: World, shown: str) -> None:
    """Whoever sends the header means it."""
    await world.assert_refused([("Authorization", shown), *cookies(of(world.session))])


IGNORED: Final = {
    "foreign": signed("TokenOfAnnOther" + "0" * 17, "x" * 40),
    "foreign, naming another": signed("TokenOfBob" + "0" * 22, "x" * 40),
    "of no session": signed("N" * 32),
    "unsigned": "TokenOfBob" + "0" * 22,
    "badly signed": f"TokenOfBob{'0' * 22}.{'A' * 43}%3D",
    "a signature alone": f".{'A' * 43}=",
    "empty": "",
    "expired": signed("TokenOfAnnExpired" + "0" * 15),
    "expired, of another": signed("TokenOfBobExpired" + "0" * 15),
}


@pytest.mark.parametrize("value", IGNORED.values(), ids=IGNORED.keys())
async def test_a_cookie_that_proves_nothing_is_ignored(world: World, value: str) -> None:
    for user_id in ("ann", "bob"):
        past = world.session.created_at - 8 * DAY
        add_session(world.store, user_id, "Expired", created_at=past, expires_at=past + 6.9 * DAY)
    await world.assert_refused(cookies(value))
    for name, show in BEARERS.items():
        found = await world.who(show(world.session) + cookies(value))
        assert found[:2] == ("ann", PROOFS[name][0].value)


@pytest.mark.parametrize("name", BEARERS)
async def test_a_cookie_of_somebody_else_is_not(world: World, name: str) -> None:
    await world.assert_refused(BEARERS[name](world.session) + cookies(of(world.bobs)))


async def test_a_cookie_of_somebody_else_changes_nothing(world: World) -> None:
    """Nor may it be told from the answer whose it is."""
    headers = bearer(token()) + cookies(of(world.bobs))
    before = contents(world.store)
    answers = [
        await world.client.post("/api/tasks", json={"title": "x"}, headers=headers),
        await world.client.delete("/api/users/me", headers=headers),
        await world.client.delete(f"/api/users/me/sessions/{world.bobs.id}", headers=headers),
    ]
    for answer in answers:
        assert code(answer) == (401, "UNAUTHENTICATED")
        assert "bob" not in answer.text
    assert contents(world.store) == before


# Session cookies


async def test_two_cookies_that_contradict_each_other(world: World) -> None:
    """Also where both are good, where one is worth nothing, and where a bearer decides: who knows
    which is meant?"""
    good = of(world.session)
    for other in (of(world.other), of(world.bobs), signed("N" * 32), "x", ""):
        for values in ((good, other), (other, good), (good, other, good)):
            await world.assert_refused(cookies(*values))
            await world.assert_refused(bearer(token()) + cookies(*values))
            await world.assert_refused([header for v in values for header in cookies(v)])


async def test_the_same_cookie_twice(world: World) -> None:
    good = of(world.session)
    for headers in (cookies(good, good), cookies(good) + cookies(good)):
        assert await world.who(headers) == ("ann", "cookie", world.session.id)


async def test_other_cookies_are_nobodys_business(world: World) -> None:
    good, bobs = of(world.session), of(world.bobs)
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
    await world.assert_refused([("Cookie", others)])
    for shown in (f"{others}; {COOKIE}={good}", f"{COOKIE}={good}; {others}"):
        assert await world.who([("Cookie", shown)]) == ("ann", "cookie", world.session.id)


async def test_several_cookie_headers_are_one(world: World) -> None:
    """HTTP/2 splits them (RFC 9113, 8.2.3)."""
    good = cookies(of(world.session))
    for headers in ([("Cookie", "a=b"), *good], [*good, ("Cookie", "a=b"), ("Cookie", "")]):
        assert await world.who(headers) == ("ann", "cookie", world.session.id)
    await world.assert_refused(good + cookies(of(world.bobs)))


async def test_the_forms_that_better_auth_reads(world: World) -> None:
    """Percent-encoded or not, in quotation marks, with space around."""
    token = world.session.token
    bare = f"{token}.{signature(token)}"
    for shown in (bare, f'"{bare}"', f'"{signed(token)}"', f" {signed(token)} "):
        assert (await world.who(cookies(shown)))[0] == "ann"
    assert (await world.who([("Cookie", f"a;{COOKIE} = {signed(token)};b=")]))[0] == "ann"


@pytest.mark.parametrize(
    ("url", "read", "ignored"),
    [("https://app.example.com", SECURE, COOKIE), ("http://localhost:3000", COOKIE, SECURE)],
)
async def test_one_name_is_read_and_never_the_other(url: str, read: str, ignored: str) -> None:
    """Or a page on plain http could toss in its own cookie over that of https."""
    backend = build_backend(better_auth_url=url)
    async with client_of(backend.app) as client:
        world = World(backend.store, client)
        good, bobs = of(world.session), of(world.bobs)
        await world.assert_refused([("Cookie", f"{ignored}={good}")])
        for shown in (f"{read}={good}; {ignored}={bobs}", f"{ignored}={bobs}; {read}={good}"):
            assert (await world.who([("Cookie", shown)]))[0] == "ann"
        beside = [*bearer(token()), ("Cookie", f"{ignored}={bobs}")]
        assert (await world.who(beside))[0] == "ann"


# Places


async def test_two_authorization_headers(world: World) -> None:
    """Somebody on the way might judge by the other one; so not even the same one twice."""
    good = bearer(token())
    for other in (good, bearer(token("bob")), bearer("x"), [("Authorization", "")]):
        await world.assert_refused(good + other)
        await world.assert_refused(other + good + cookies(of(world.session)))


@pytest.mark.parametrize(
    "name", ["token", "access_token", "session_token", "bearer_token", "authorization", COOKIE]
)
async def test_a_token_in_the_query_is_never_read(world: World, name: str) -> None:
    session = world.session
    shown = [token(), access_token(session), plugin_token(), session.token, of(session)]
    for value in shown:
        answer = await world.client.get(VALIDATE, params={name: value})
        assert code(answer) == (401, "UNAUTHENTICATED")
    answer = await world.client.get(VALIDATE, params={name: token("bob")}, headers=bearer(token()))
    assert code(answer) == (422, "VALIDATION_ERROR")


async def test_a_token_in_a_body_or_in_another_header_is_never_read(world: World) -> None:
    session = world.session
    names = ("X-Authorization", "X-Access-Token", "Proxy-Authorization", "Set-Auth-Token")
    for name in names:
        await world.assert_refused([(name, f"Bearer {token()}"), ("X-Session", session.token)])
    body = {"title": "x", "token": session.token, "user_id": "ann"}
    answer = await world.client.post("/api/tasks", json=body)
    assert code(answer) == (401, "UNAUTHENTICATED")
