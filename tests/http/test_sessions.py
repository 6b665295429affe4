"""Sessions over HTTP: what proves one, what keeps it alive, and how it ends."""

import re
from dataclasses import replace
from typing import Any, Final

import httpx
import pytest

from adapters.memory.store import MemoryStore
from application.ports.clock import Clock
from application.ports.credentials import CredentialKind
from domain.sessions import Session
from tests.conftest import FixedClock
from tests.http.backend import build_backend
from tests.http.client import ORIGIN, client_of, code, token
from tests.http.people import (
    ANN,
    ANSWER_FIELDS,
    BEARERS,
    COOKIE,
    DAY,
    LOG_IN,
    LOG_OUT,
    ME,
    OF_NO_SESSION,
    OTHERWISE,
    OWN_SESSION,
    PROOFS,
    REFRESH,
    SESSION_FIELDS,
    SESSIONS,
    SIGN_UP,
    TAKEN,
    USER,
    USER_FIELDS,
    VALIDATE,
    WEEK,
    Headers,
    access_token,
    add_session,
    add_task,
    add_user,
    bearer,
    contents,
    cookie,
    cookie_of,
    cookies_of,
    given,
    plugin_token,
    signed,
)
from tests.http.test_matrix import PROTECTED


def due(session: Session) -> Session:
    """The same session when it has lived for a day and a half."""
    return replace(
        session,
        created_at=session.created_at - 1.5 * DAY,
        updated_at=session.updated_at - 1.5 * DAY,
        expires_at=session.expires_at - 1.5 * DAY,
    )


def brief(session: Session) -> Session:
    """The same when its user asked Better Auth not to be remembered."""
    return replace(session, expires_at=session.created_at + DAY)


async def assert_dead(client: httpx.AsyncClient, session: Session) -> None:
    """No form of credential of the session proves anything any more."""
    for _, show in OWN_SESSION.values():
        assert code(await client.get(ME, headers=show(session))) == (401, "UNAUTHENTICATED")


# Who is asking


@pytest.mark.parametrize(("kind", "show"), PROOFS.values(), ids=PROOFS.keys())
async def test_every_credential_is_named(
    nobody: httpx.AsyncClient,
    session: Session,
    kind: CredentialKind,
    show: Any,
) -> None:
    """And each gets the same account; the session where it stands for one."""
    answer = await nobody.get(VALIDATE, headers=show(session))
    body = answer.json()
    assert (answer.status_code, list(body)) == (200, ["user", "session", "credential"])
    assert body["credential"] == kind.value
    if kind in (CredentialKind.JWT, CredentialKind.SHARED_SECRET):
        assert body["session"] is None
    else:
        assert list(body["session"]) == SESSION_FIELDS
        assert (body["session"]["id"], body["session"]["current"]) == (session.id, True)
    for path in (ME, USER):
        account = await nobody.get(path, headers=show(session))
        assert account.json() == body["user"]
    assert list(body["user"]) == USER_FIELDS
    assert body["user"]["id"] == "ann"


async def test_head_is_get_without_the_body(nobody: httpx.AsyncClient, session: Session) -> None:
    for path in (ME, VALIDATE, USER, SESSIONS):
        for shown in (cookie_of(session), []):
            got, head = [await nobody.request(m, path, headers=shown) for m in ("GET", "HEAD")]
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert head.headers["cache-control"] == "no-store"
            assert head.headers["content-type"] == got.headers["content-type"]


# Refreshing


@pytest.mark.parametrize(("kind", "show"), OWN_SESSION.values(), ids=OWN_SESSION.keys())
async def test_refreshing(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    moment: FixedClock,
    kind: CredentialKind,
    show: Any,
) -> None:
    """A new access token beside the old one; a young session is left as it is."""
    first = await nobody.post(REFRESH, headers=show(session))
    moment.advance(600)
    second = await nobody.post(REFRESH, headers=show(session))
    for answer in (first, second):
        assert (answer.status_code, list(answer.json())) == (200, ANSWER_FIELDS)
        assert answer.json()["session"]["id"] == session.id
        assert answer.json()["expires_in"] == WEEK
    tokens = [answer.json()["access_token"] for answer in (first, second)]
    assert tokens[0] != tokens[1]
    for shown in tokens:
        assert (await nobody.get(ME, headers=bearer(shown))).status_code == 200
    assert store.sessions[session.id] == session


async def test_sessions_live_as_long_as_the_front_end_says(moment: FixedClock) -> None:
    """A quarter of an hour stays a quarter of an hour."""
    backend = build_backend({Clock: moment}, session_expires_in=900, session_update_age=300)
    async with client_of(backend.app) as nobody:
        answer = await nobody.post(SIGN_UP, json=ANN)
        token, session_id = answer.json()["session_token"], answer.json()["session"]["id"]
        assert "; Max-Age=900;" in cookies_of(answer)[0]
        kept = backend.store.sessions
        for seconds, life in ((299, 900), (1, 1200), (301, 1501)):
            moment.advance(seconds)
            await nobody.get(ME, headers=bearer(token))
            stored = kept[session_id]
            assert (stored.expires_at - stored.created_at).total_seconds() == life
        moment.advance(901)
        assert code(await nobody.get(ME, headers=bearer(token))) == (401, "UNAUTHENTICATED")


async def test_refreshing_sends_the_cookie_again(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, moment: FixedClock
) -> None:
    """For as long as the session lives; prolonged, its whole life again."""
    moment.time = session.created_at
    moment.advance(3_600)
    answer = await nobody.post(REFRESH, headers=cookie_of(session))
    assert cookies_of(answer) == [given(session.token, WEEK - 3_600)]
    moment.advance(86_400 - 3_600)
    answer = await nobody.post(REFRESH, headers=cookie_of(session))
    assert cookies_of(answer) == [given(session.token)]
    assert store.sessions[session.id].expires_at == moment.time + 7 * DAY
    assert answer.json()["session"]["expires_at"][:19] == f"{moment.time + 7 * DAY:%FT%T}"


async def test_an_access_token_buys_no_cookie(
    nobody: httpx.AsyncClient, session: Session, moment: FixedClock
) -> None:
    """Better Auth's server believes the one and not the other; who shows the session's token, as a
    bearer or in a cookie beside it, learns nothing new."""
    moment.time = session.created_at
    own, shown = cookie_of(session), bearer(access_token(session))
    answer = await nobody.post(REFRESH, headers=shown)
    assert (answer.status_code, cookies_of(answer)) == (200, [])
    assert session.token not in answer.text
    for name in ("raw session token", "signed session token"):
        answer = await nobody.post(REFRESH, headers=PROOFS[name][1](session))
        assert cookies_of(answer) == [given(session.token)]
    assert cookies_of(await nobody.post(REFRESH, headers=shown + own)) == [given(session.token)]


async def test_an_access_token_buys_no_cookie_of_another_session(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    beside = cookie_of(add_session(store, name="Beside"))
    answer = await nobody.post(REFRESH, headers=bearer(access_token(session)) + beside)
    assert (answer.status_code, cookies_of(answer)) == (200, [])


async def test_who_is_not_to_be_remembered_stays_so(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """As the cookie beside that of the session says: it comes again without an end of its own,
    and the session is never prolonged."""
    store.sessions[session.id] = kept = due(session)
    value = f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={signed('true')}"
    shown = [("Cookie", value), ("Origin", ORIGIN)]
    answer = await nobody.post(REFRESH, headers=shown)
    note = f"better-auth.dont_remember={signed('true')}; Path=/; HttpOnly; SameSite=Lax"
    assert cookies_of(answer) == [given(session.token, None), note]
    for path in (ME, VALIDATE):
        assert not cookies_of(await nobody.get(path, headers=shown))
    assert store.sessions[session.id] == kept


@pytest.mark.parametrize("name", ["raw session token", "signed session token", "access token"])
async def test_who_is_not_to_be_remembered_stays_so_where_a_bearer_decides(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, name: str
) -> None:
    """What the cookies say of a session holds for whatever else stands for the same one."""
    store.sessions[session.id] = kept = due(session)
    value = f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={signed('true')}"
    shown = [*PROOFS[name][1](session), ("Cookie", value)]
    answer = await nobody.post(REFRESH, headers=shown)
    assert answer.status_code == 200
    assert not any("Max-Age" in cookie for cookie in cookies_of(answer))
    await nobody.get(ME, headers=shown)
    assert store.sessions[session.id] == kept


async def test_a_session_of_a_day_stays_one(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, moment: FixedClock
) -> None:
    """So Better Auth makes it for who is not to be remembered, also where the cookie that says so
    is lost."""
    moment.time = session.created_at
    store.sessions[session.id] = kept = brief(session)
    for _, show in OWN_SESSION.values():
        for path in (ME, VALIDATE):
            assert not cookies_of(await nobody.get(path, headers=show(session)))
        assert (await nobody.post(REFRESH, headers=show(session))).status_code == 200
    answer = await nobody.post(REFRESH, headers=cookie_of(session))
    assert cookies_of(answer) == [given(session.token, 86_400)]
    assert store.sessions[session.id] == kept


@pytest.mark.parametrize("note", ["true", "true." + "A" * 43 + "=", signed("false")])
async def test_a_note_that_nobody_signed_is_none(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, note: str
) -> None:
    store.sessions[session.id] = due(session)
    shown = [("Cookie", f"{COOKIE}={signed(session.token)}; better-auth.dont_remember={note}")]
    assert len(cookies_of(await nobody.get(ME, headers=shown))) == 1
    assert store.sessions[session.id].expires_at > session.expires_at


@pytest.mark.parametrize("name", OF_NO_SESSION)
async def test_a_token_of_others_refreshes_nothing(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, name: str
) -> None:
    """There is no session that it stands for, not even where a cookie stands beside it."""
    before = contents(store)
    shown = PROOFS[name][1](session)
    for headers in (shown, shown + cookie_of(session)):
        answer = await nobody.post(REFRESH, headers=headers)
        assert code(answer) == (403, "FORBIDDEN")
        assert not cookies_of(answer)
    assert contents(store) == before


@pytest.mark.parametrize(("method", "path", "sent", "status"), PROTECTED)
async def test_three_requests_prolong_a_session_and_no_others(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    moment: FixedClock,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
) -> None:
    """Better Auth's rule: seven days again, once it was given its present life a day ago."""
    prolonging = path in (REFRESH, ME, VALIDATE)
    for age in (due, lambda young: young):
        task = add_task(store)
        store.sessions[session.id] = old = age(session)
        where = path.format(task_id=task.id, session_id="other")
        answer = await nobody.request(method, where, headers=cookie_of(session), **sent)
        assert answer.status_code == (200 if path == REFRESH else status)
        if path == USER and method == "DELETE":
            return
        kept = store.sessions[session.id]
        if not prolonging or age is not due:
            assert kept == old
            assert bool(cookies_of(answer)) is (path == REFRESH)
            continue
        assert kept.expires_at > session.expires_at
        assert kept.expires_at - kept.updated_at == 7 * DAY
        [again] = cookies_of(answer)
        assert re.fullmatch(
            re.escape(given(session.token)).replace("604800", "604(800|79.)"), again
        )


async def test_a_bearer_prolongs_its_session_and_gets_no_cookie(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name in ("raw session token", "signed session token", "access token"):
        for path in (ME, VALIDATE):
            store.sessions[session.id] = due(session)
            answer = await nobody.get(path, headers=PROOFS[name][1](session))
            assert not cookies_of(answer)
            assert store.sessions[session.id].expires_at > session.expires_at


async def test_a_bearer_does_not_prolong_the_session_of_a_cookie_beside_it(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """The bearer decides: whether it stands for another session, or for none."""
    beside = due(add_session(store, name="Beside"))
    store.sessions[beside.id] = beside
    for name, show in BEARERS.items():
        for path in (ME, VALIDATE):
            answer = await nobody.get(path, headers=show(session) + cookie_of(beside))
            assert (answer.status_code, cookies_of(answer)) == (200, []), name
    assert store.sessions[beside.id] == beside


# Logging out


@pytest.mark.parametrize(("kind", "show"), OWN_SESSION.values(), ids=OWN_SESSION.keys())
async def test_logging_out(
    nobody: httpx.AsyncClient,
    store: MemoryStore,
    session: Session,
    kind: CredentialKind,
    show: Any,
) -> None:
    """The session is over, and so is every token that hangs on it; others live on."""
    other, bobs = add_session(store, name="Other"), add_session(store, add_user(store, "bob").id)
    for _, every in OWN_SESSION.values():
        assert (await nobody.get(ME, headers=every(session))).status_code == 200
    answer = await nobody.post(LOG_OUT, headers=show(session))
    assert (answer.status_code, answer.content) == (204, b"")
    assert cookies_of(answer) == TAKEN
    assert set(store.sessions) == {other.id, bobs.id}
    await assert_dead(nobody, session)
    assert (await nobody.get(ME, headers=cookie_of(other))).status_code == 200


NOBODY: Final[dict[str, Headers]] = {
    "nothing": [],
    "a dead cookie": cookie(signed("D" * 32)),
    "an unsigned cookie": cookie("TokenOfAnn".ljust(32, "0")),
    "a cookie that another secret signed": cookie(signed("TokenOfAnn".ljust(32, "0"), "x" * 40)),
    "a bad bearer": bearer("B" * 32),
    "a bad bearer beside a good cookie": bearer("B" * 32) + cookie(signed("TokenOfAnn" + "0" * 22)),
    "no bearer": [("Authorization", "Basic YTpi")],
    "somebody unknown": bearer(token("stranger", email=None)),
    "somebody whose address is taken": bearer(token("stranger", email="ann@example.com")),
}


@pytest.mark.parametrize("shown", NOBODY.values(), ids=NOBODY.keys())
async def test_nobody_can_log_out_as_well(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session, shown: Headers
) -> None:
    """What the browser holds is of no use: it is told to forget it."""
    before = contents(store)
    answer = await nobody.post(LOG_OUT, headers=shown)
    assert (answer.status_code, cookies_of(answer)) == (204, TAKEN)
    assert contents(store) == before


async def test_logging_out_with_both_ends_both(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name in PROOFS:
        if name == "cookie":
            continue
        session = add_session(store)
        beside = add_session(store, name="Beside")
        headers = PROOFS[name][1](session) + cookie_of(beside)
        assert (await nobody.post(LOG_OUT, headers=headers)).status_code == 204
        assert set(store.sessions) == ({session.id} if name in OF_NO_SESSION else set())


async def test_a_token_of_others_ends_nothing(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    for name in OF_NO_SESSION:
        answer = await nobody.post(LOG_OUT, headers=PROOFS[name][1](session))
        assert (answer.status_code, cookies_of(answer)) == (204, TAKEN)
    assert set(store.sessions) == {session.id}


@pytest.mark.parametrize(
    ("settings", "prefix", "domain", "secure"),
    [
        ({"cookie_domain": "example.com"}, "better-auth", "; Domain=example.com", ""),
        ({"better_auth_url": "https://app.example.com"}, "__Secure-better-auth", "", "; Secure"),
        (
            {
                "better_auth_url": "https://app.example.com",
                "cookie_domain": ".Example.com",
                "better_auth_cookie_prefix": "my-app",
            },
            "__Secure-my-app",
            "; Domain=example.com",
            "; Secure",
        ),
    ],
    ids=["a domain", "https", "all at once"],
)
async def test_cookies_as_the_settings_have_them(
    moment: FixedClock, settings: dict[str, Any], prefix: str, domain: str, secure: str
) -> None:
    """The same where they are set and where they are cleared, or a browser would keep them; and
    what was given to this host alone, before there was a domain, is cleared as well."""
    backend = build_backend({Clock: moment}, **settings)
    rest = f"; Path=/; HttpOnly{secure}; SameSite=Lax"
    names = [f"{prefix}.{name}" for name in ("session_token", "session_data", "dont_remember")]
    async with client_of(backend.app) as nobody:
        answer = await nobody.post(SIGN_UP, json=ANN)
        token = answer.json()["session_token"]
        assert cookies_of(answer) == [f"{names[0]}={signed(token)}; Max-Age={WEEK}{domain}{rest}"]
        shown = cookie(signed(token), names[0])
        refreshed = await nobody.post(REFRESH, headers=shown)
        assert cookies_of(refreshed) == cookies_of(answer)
        out = await nobody.post(LOG_OUT, headers=shown)
        everywhere = {domain, ""}
        assert sorted(cookies_of(out)) == sorted(
            f"{name}=; Max-Age=0{where}{rest}" for name in names for where in everywhere
        )
        assert not backend.store.sessions


# One's sessions


async def test_listing_sessions(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Those that are alive, the newest first, each without its token."""
    add_session(store, add_user(store, "bob").id)
    now = session.created_at
    older = add_session(store, name="Older", created_at=now - DAY, user_agent="Lynx")
    add_session(store, name="Expired", created_at=now - 8 * DAY, expires_at=now - DAY)
    for shown in (cookie_of(session), bearer(access_token(session))):
        answer = await nobody.get(SESSIONS, headers=shown)
        body = answer.json()
        assert (answer.status_code, list(body), body["count"]) == (200, ["data", "count"], 2)
        assert [list(entry) for entry in body["data"]] == [SESSION_FIELDS] * 2
        assert [(e["id"], e["current"]) for e in body["data"]] == [
            (session.id, True),
            (older.id, False),
        ]
        assert body["data"][1]["user_agent"] == "Lynx"
        assert body["data"][0]["expires_at"].endswith("Z")
        assert "Token" not in answer.text
    body = (await nobody.get(SESSIONS, headers=bearer(plugin_token()))).json()
    assert [entry["current"] for entry in body["data"]] == [False, False]
    both = bearer(access_token(session)) + cookie_of(older)
    body = (await nobody.get(SESSIONS, headers=both)).json()
    assert [entry["current"] for entry in body["data"]] == [True, True]


async def test_ending_another_of_ones_sessions(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    other = add_session(store, name="Other")
    answer = await nobody.delete(f"{SESSIONS}/{other.id}", headers=cookie_of(session))
    assert (answer.status_code, answer.content, cookies_of(answer)) == (204, b"", [])
    await assert_dead(nobody, other)
    assert set(store.sessions) == {session.id}
    again = await nobody.delete(f"{SESSIONS}/{other.id}", headers=cookie_of(session))
    assert code(again) == (404, "SESSION_NOT_FOUND")


@pytest.mark.parametrize(("kind", "show"), OWN_SESSION.values(), ids=OWN_SESSION.keys())
async def test_ending_the_current_session(
    nobody: httpx.AsyncClient, session: Session, kind: CredentialKind, show: Any
) -> None:
    """Which is as good as logging out: the cookies go, too."""
    answer = await nobody.delete(f"{SESSIONS}/{session.id}", headers=show(session))
    assert (answer.status_code, cookies_of(answer)) == (204, TAKEN)
    await assert_dead(nobody, session)


async def test_ending_what_is_not_ones_own(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Another's session and none at all: the same answer, and nothing of it goes."""
    bobs = add_session(store, add_user(store, "bob").id)
    before = contents(store)
    for _, show in PROOFS.values():
        answers = [
            await nobody.delete(f"{SESSIONS}/{id}", headers=show(session))
            for id in (bobs.id, "nothing", "x" * 64)
        ]
        for answer in answers:
            assert code(answer) == (404, "SESSION_NOT_FOUND")
            assert (answer.json()["message"], cookies_of(answer)) == (
                answers[0].json()["message"],
                [],
            )
    # Not by its token either: that is no name for it.
    answer = await nobody.delete(f"{SESSIONS}/{session.token}", headers=cookie_of(session))
    assert code(answer) == (404, "SESSION_NOT_FOUND")
    assert contents(store) == before


@pytest.mark.parametrize("id", ["x" * 65, "a%0A", "a.b", "%00", "ä"])
async def test_what_is_no_id_of_a_session(
    nobody: httpx.AsyncClient, session: Session, id: str
) -> None:
    answer = await nobody.delete(f"{SESSIONS}/{id}", headers=cookie_of(session))
    assert code(answer) in ((422, "VALIDATION_ERROR"), (404, "NOT_FOUND"))


# All of it


async def test_nothing_of_it_is_ever_stored_on_the_way(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """`no-store`, whatever the answer is."""
    ann, other = cookie_of(session), bearer(token("bob"))
    hostile = [*ann, ("Origin", "http://evil.example")]
    requests: list[tuple[int, str, str, Headers, Any]] = [
        (201, "POST", SIGN_UP, [], {**ANN, "email": "new@example.com"}),
        (409, "POST", SIGN_UP, [], ANN),
        (422, "POST", SIGN_UP, [], {}),
        (403, "POST", SIGN_UP, hostile, ANN),
        (200, "POST", LOG_IN, [], ANN),
        (401, "POST", LOG_IN, [], OTHERWISE),
        (422, "POST", LOG_IN, [], {}),
        (405, "GET", LOG_IN, [], None),
        (404, "POST", "/api/auth/nowhere", ann, None),
        *[
            (200 if shown else 401, method, path, shown, None)
            for method in ("GET", "HEAD")
            for path in (ME, VALIDATE, USER, SESSIONS)
            for shown in (ann, [])
        ],
        (422, "GET", f"{ME}?token=x", ann, None),
        (200, "POST", REFRESH, ann, None),
        (403, "POST", REFRESH, hostile, None),
        (403, "POST", REFRESH, other, None),
        (200, "PATCH", USER, ann, {"name": "x"}),
        (422, "PATCH", USER, ann, {}),
        (404, "DELETE", f"{SESSIONS}/nothing", ann, None),
        (204, "DELETE", USER, other, None),
        (204, "POST", LOG_OUT, ann, None),
        (204, "POST", LOG_OUT, ann, None),
    ]
    for status, method, path, headers, body in requests:
        sent = {} if body is None else {"json": body}
        answer = await nobody.request(method, path, headers=headers, **sent)
        assert (answer.status_code, method, path) == (status, method, path)
        assert answer.headers["cache-control"] == "no-store"


async def test_who_is_no_page_may_forget_a_dead_cookie(
    nobody: httpx.AsyncClient, store: MemoryStore, session: Session
) -> None:
    """Without a word of where it comes from; a page of others may not."""
    store.sessions.clear()
    dead = ("Cookie", f"{COOKIE}={signed(session.token)}")
    assert cookies_of(await nobody.post(LOG_OUT, headers=[dead])) == TAKEN
    foreign = [dead, ("Origin", "https://evil.example.com")]
    answer = await nobody.post(LOG_OUT, headers=foreign)
    assert (answer.status_code, cookies_of(answer)) == (204, [])
