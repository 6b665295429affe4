"""The whole service on each layout that Better Auth's own tools make.

`layout` and `served` are all dumps with a table of sessions, one after the other.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.http.client import error_of
from tests.interop.better_auth import cookie_of
from tests.layouts import commands, credentials
from tests.layouts.better_auth import PASSWORD, BetterAuth, Person
from tests.layouts.conftest import ORIGIN, Layout, Served
from tests.layouts.dump import BY_NAME, DUMPS, WITHOUT_SESSIONS, Dump
from tests.processes.service import SECRET, error_message, new_home

pytestmark = pytest.mark.postgres

MINUTE: Final = timedelta(minutes=1)
WEEK: Final = timedelta(days=7)
NEW_PASSWORD: Final = "correct horse battery"
NEVER: Final = datetime(2000, 1, 1, tzinfo=UTC)


def email() -> str:
    return f"{uuid.uuid4().hex}@example.com"


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def is_about(time: datetime, expected: datetime) -> bool:
    """Whether a time is not in a wrong time zone. A loaded machine takes its time."""
    return abs(time - expected) < timedelta(minutes=15)


def assert_canonical(id_: str, dump: Dump) -> None:
    """The id is of the type that the columns of this layout have."""
    if dump.ids == "uuid":
        assert str(uuid.UUID(id_)) == id_
    elif dump.ids == "serial":
        assert str(int(id_)) == id_
    else:
        assert len(id_) == 32


async def accepted(served: Served, headers: credentials.Headers) -> dict[str, Any]:
    """The body of `/api/auth/session/validate`."""
    response = await served.taskport.validate(headers)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


async def assert_rejected(served: Served, *each: credentials.Headers) -> None:
    for headers in each:
        for response in (
            await served.taskport.validate(headers),
            await served.taskport.tasks(headers),
            await served.taskport.create(headers),
        ):
            assert response.status_code == 401, response.text


async def titles(served: Served, headers: credentials.Headers) -> list[str]:
    response = await served.taskport.tasks(headers)
    assert response.status_code == 200, response.text
    return [task["title"] for task in response.json()["data"]]


def task_rows(url: str, user_id: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select count(*) from taskport.tasks where user_id = %s", [user_id]
        ).fetchone()
    assert row is not None
    return int(row[0])


def kind_of(dump: Dump, field: str) -> str:
    """The type of the column of a field."""
    if field in ("id", "userId"):
        return {"text": "text", "uuid": "uuid", "serial": "integer"}[dump.ids]
    if field.endswith("At") or field in ("banExpires", "lockedUntil"):
        return f"timestamp {'with' if dump.zoned else 'without'} time zone"
    if field in ("emailVerified", "banned", "twoFactorEnabled", "verified"):
        return "boolean"
    return "integer" if field == "failedVerificationCount" else "text"


@pytest.mark.parametrize("dump", [*DUMPS, WITHOUT_SESSIONS], ids=str)
def test_description_is_that_of_the_dump(empty_database_url: str, dump: Dump) -> None:
    """All columns of all tables, and their types."""
    dump.load(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute(
            "select table_name, column_name, data_type from information_schema.columns"
            " where table_schema = %s",
            [dump.schema],
        ).fetchall()
    assert {(table, column): kind for table, column, kind in found} == {
        (dump.tables[model], dump.columns[model][field]): kind_of(dump, field)
        for model, field in dump.fields()
    }


def test_migration_and_check(layout: Layout) -> None:
    """Both succeed, and a second migration has nothing to do."""
    assert layout.migrated.code == 0, layout.migrated
    assert layout.migrated.err == ""
    check = commands.taskport(layout.url, "check")
    assert (check.code, check.err) == (0, "")
    assert "fine, the schema is at head" in check.out
    again = commands.taskport(layout.url, "migrate")
    assert (again.code, again.out) == (0, layout.migrated.out)


async def test_ready(served: Served) -> None:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(served.taskport.app), base_url="http://taskport"
    ) as client:
        assert (await client.get("/readyz")).status_code == 200


async def test_each_credential(served: Served) -> None:
    """Of one user, whose id is that of the row everywhere."""
    person = served.rows.sign_up()
    keys = credentials.Keys(served.rows, ORIGIN)
    refreshed = await served.taskport.refresh(credentials.cookie(person))
    each = {
        "cookie": credentials.cookie(person),
        "session_token": credentials.bearer(person.token),
        "session_token ": credentials.signed_bearer(person),
        "jwt": keys.jwt(person.id),
        "access_token": credentials.bearer(refreshed.json()["access_token"]),
        "shared_secret": credentials.shared_secret(person.id),
    }
    for kind, headers in each.items():
        found = await accepted(served, headers)
        assert (found["credential"], found["user"]["id"]) == (kind.strip(), person.id)
        created = await served.taskport.create(headers)
        assert created.status_code == 201, created.text
        assert created.json()["user_id"] == person.id
    assert len(await titles(served, each["cookie"])) == len(each)


async def test_user_and_session_are_those_of_the_rows(served: Served) -> None:
    """Each field, and times in UTC."""
    person = served.rows.sign_up()
    found = await accepted(served, credentials.cookie(person))
    row = served.rows.row("user", "id", person.id)
    session = served.rows.row("session", "id", person.session_id)

    assert found["user"] | {"created_at": moment(found["user"]["created_at"])} | {
        "updated_at": moment(found["user"]["updated_at"])
    } == {
        "id": person.id,
        "email": person.email,
        "name": "Ada",
        "email_verified": False,
        "image": "https://example.com/ada.png",
        "created_at": row["createdAt"],
        "updated_at": row["updatedAt"],
    }
    times = ("created_at", "updated_at", "expires_at")
    assert found["session"] | {name: moment(found["session"][name]) for name in times} == {
        "id": person.session_id,
        "created_at": session["createdAt"],
        "updated_at": session["updatedAt"],
        "expires_at": session["expiresAt"],
        "ip_address": "203.0.113.7",
        "user_agent": "Firefox",
        "current": True,
    }


@pytest.mark.parametrize(("minutes", "status"), [(-1, 401), (15, 200)])
async def test_session_ends_in_utc(served: Served, minutes: int, status: int) -> None:
    user_id, address = served.rows.add_user()
    expires_at = datetime.now(UTC) + minutes * MINUTE
    session_id, token = served.rows.add_session(user_id, expiresAt=expires_at)
    person = Person(user_id, address, session_id, token)
    assert (await served.taskport.tasks(credentials.cookie(person))).status_code == status


async def test_misspelled_id_is_rejected(served: Served) -> None:
    """No other spelling of an id is the same user, and none becomes a user."""
    person = served.rows.sign_up()
    keys = credentials.Keys(served.rows, ORIGIN)
    spellings = [f" {person.id}", f"{person.id} ", f"0{person.id}", f"+{person.id}"]
    if served.dump.ids == "uuid":
        compact = person.id.replace("-", "")
        spellings += [person.id.upper(), compact, f"{{{person.id}}}"]
        # One without a letter has no other case.
        assert person.id.upper() != person.id
    for spelling in spellings:
        tokens = [credentials.shared_secret(spelling), keys.jwt(spelling)]
        if served.dump.ids != "text":
            tokens.append(credentials.shared_secret(spelling, email=email()))
        for token in tokens:
            await assert_rejected(served, token)
    assert len(served.rows.rows("user", "id", person.id)) == 1


@pytest.mark.parametrize("sub", ["0", "-1", "1e3", "99999999999999999999", "x", "\u0663", "1.0"])
async def test_id_that_the_column_cannot_hold_is_rejected(served: Served, sub: str) -> None:
    """Each is an id of no user, and no crash."""
    keys = credentials.Keys(served.rows, ORIGIN)
    await assert_rejected(served, credentials.shared_secret(sub), keys.jwt(sub))
    if served.dump.ids == "uuid":
        await assert_rejected(served, credentials.shared_secret(sub, email=email()))


async def test_user_of_a_token_is_created(served: Served) -> None:
    """If the front end's server signs for a new id of the right type, as on any other layout."""
    new = {"text": uuid.uuid4().hex, "uuid": str(uuid.uuid4())}
    if served.dump.ids not in new:
        return
    sub, address = new[served.dump.ids], email()
    token = credentials.shared_secret(sub, email=address, name="Grace")
    assert (await served.taskport.create(token)).status_code == 201
    row = served.rows.row("user", "id", sub)
    assert (row["email"], row["name"], row["emailVerified"]) == (address, "Grace", False)
    assert is_about(row["createdAt"], datetime.now(UTC))


async def test_tasks(served: Served) -> None:
    """Create, get, list, update, complete, delete."""
    headers = credentials.cookie(served.rows.sign_up())
    request = served.taskport.request
    created = await request("POST", "/tasks", headers, json={"title": "a", "description": "b"})
    path = f"/tasks/{created.json()['id']}"
    assert (await request("GET", path, headers)).json() == created.json()
    updated = await request("PATCH", path, headers, json={"title": "c"})
    assert (updated.status_code, updated.json()["title"]) == (200, "c")
    completed = await request("PATCH", f"{path}/complete", headers)
    assert completed.json()["status"] == "Completed"
    assert await titles(served, headers) == ["c"]
    assert (await request("DELETE", path, headers)).status_code == 204
    assert await titles(served, headers) == []


async def test_task_of_another_user(served: Served) -> None:
    owner, other = served.rows.sign_up(), served.rows.sign_up()
    created = await served.taskport.create(credentials.cookie(owner))
    path = f"/tasks/{created.json()['id']}"
    response = await served.taskport.request("GET", path, credentials.cookie(other))
    assert error_of(response) == (403, "FORBIDDEN")


async def test_log_in_with_the_hash_of_better_auth(served: Served) -> None:
    """The new session is a row as Better Auth writes it."""
    user_id, address = served.rows.add_user()
    response = await served.taskport.log_in(address, PASSWORD)
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["user"]["id"] == user_id

    row = served.rows.row("session", "token", body["session_token"])
    assert (row["userId"], row["id"]) == (user_id, body["session"]["id"])
    assert_canonical(row["id"], served.dump)
    assert is_about(row["expiresAt"], datetime.now(UTC) + WEEK)
    assert is_about(row["createdAt"], datetime.now(UTC))
    assert is_about(row["updatedAt"], datetime.now(UTC))
    for headers in (cookie_of(response), credentials.bearer(body["access_token"])):
        assert (await accepted(served, headers))["user"]["id"] == user_id
    wrong = await served.taskport.log_in(address, "wrong horse battery")
    assert error_of(wrong) == (401, "INVALID_CREDENTIALS")


async def test_sign_up(served: Served) -> None:
    """The rows are those of Better Auth; its address is taken, and its password is right."""
    address = email()
    response = await served.taskport.sign_up(address, NEW_PASSWORD, "Grace")
    assert response.status_code == 201, response.text
    user_id = response.json()["user"]["id"]
    assert_canonical(user_id, served.dump)

    user = served.rows.row("user", "id", user_id)
    assert (user["email"], user["name"], user["emailVerified"]) == (address, "Grace", False)
    account = served.rows.row("account", "userId", user_id)
    assert_canonical(account["id"], served.dump)
    assert (account["providerId"], account["accountId"]) == ("credential", user_id)
    assert account["password"].count(":") == 1
    for time in (
        user["createdAt"],
        user["updatedAt"],
        account["createdAt"],
        account["updatedAt"],
        moment(response.json()["user"]["created_at"]),
    ):
        assert is_about(time, datetime.now(UTC))
    assert len(served.rows.rows("session", "userId", user_id)) == 1
    assert (await served.taskport.create(cookie_of(response))).json()["user_id"] == user_id

    again = await served.taskport.sign_up(address, NEW_PASSWORD)
    assert error_of(again) == (409, "EMAIL_TAKEN")
    assert (await served.taskport.log_in(address, NEW_PASSWORD)).status_code == 200
    # The database generates ids for both sides.
    person = served.rows.sign_up()
    assert (await accepted(served, credentials.cookie(person)))["user"]["id"] == person.id


async def test_log_out(served: Served) -> None:
    """The row is deleted, and no credential of the session is accepted."""
    person = served.rows.sign_up()
    headers = credentials.cookie(person)
    access_token = (await served.taskport.refresh(headers)).json()["access_token"]
    assert (await served.taskport.log_out(headers)).status_code == 204
    assert served.rows.rows("session", "id", person.session_id) == []
    await assert_rejected(served, headers, credentials.bearer(access_token))


async def test_refresh_prolongs_a_session(served: Served) -> None:
    user_id, address = served.rows.add_user()
    now = datetime.now(UTC)
    session_id, token = served.rows.add_session(
        user_id, expiresAt=now + timedelta(days=5), updatedAt=now - timedelta(days=2)
    )
    person = Person(user_id, address, session_id, token)
    refreshed = await served.taskport.refresh(credentials.cookie(person))
    assert refreshed.status_code == 200, refreshed.text
    row = served.rows.row("session", "id", session_id)
    assert is_about(row["expiresAt"], datetime.now(UTC) + WEEK)
    assert is_about(row["updatedAt"], datetime.now(UTC))


async def test_sessions_are_listed_and_one_is_ended(served: Served) -> None:
    person = served.rows.sign_up()
    other_id, other_token = served.rows.add_session(person.id)
    headers = credentials.cookie(person)
    listed = (await served.taskport.sessions(headers)).json()
    sessions = listed["data"] if isinstance(listed, dict) else listed
    assert {s["id"]: s["current"] for s in sessions} == {person.session_id: True, other_id: False}

    assert (await served.taskport.end_session(headers, other_id)).status_code == 204
    assert served.rows.rows("session", "id", other_id) == []
    await assert_rejected(served, credentials.bearer(other_token))
    for id_ in ("0", "x", f"0{person.session_id}", str(uuid.UUID(int=0)), "9" * 20):
        response = await served.taskport.end_session(headers, id_)
        assert error_of(response) == (404, "SESSION_NOT_FOUND"), id_
    assert (await served.taskport.tasks(headers)).status_code == 200


async def test_rename(served: Served) -> None:
    person = served.rows.sign_up()
    before = served.rows.row("user", "id", person.id)
    response = await served.taskport.request(
        "PATCH", "/users/me", credentials.cookie(person), json={"name": "Grace"}
    )
    assert response.status_code == 200, response.text
    after = served.rows.row("user", "id", person.id)
    assert after == {**before, "name": "Grace", "updatedAt": after["updatedAt"]}
    assert is_about(after["updatedAt"], datetime.now(UTC))
    assert moment(response.json()["updated_at"]) == after["updatedAt"]


async def test_deletion_here(served: Served) -> None:
    """Nothing of the user is left on either side, and the id stays deleted."""
    person = served.rows.sign_up()
    headers = credentials.cookie(person)
    assert (await served.taskport.create(headers)).status_code == 201
    assert (await served.taskport.delete_account(headers)).status_code == 204
    for model, field in (("user", "id"), ("session", "userId"), ("account", "userId")):
        assert served.rows.rows(model, field, person.id) == []
    assert task_rows(served.url, person.id) == 0
    token = credentials.shared_secret(person.id, email=person.email)
    await assert_rejected(served, headers, token)


async def test_deletion_there(served: Served) -> None:
    """The trigger deletes the tasks, and the id stays deleted."""
    person = served.rows.sign_up()
    headers = credentials.cookie(person)
    assert (await served.taskport.create(headers)).status_code == 201
    served.rows.execute("delete from {table} where {id}::text = $1", "user", person.id)
    assert task_rows(served.url, person.id) == 0
    token = credentials.shared_secret(person.id, email=person.email)
    await assert_rejected(served, headers, token)


async def test_plugins_are_respected(served: Served) -> None:
    """A banned user is rejected, and a user with a second factor cannot log in here."""
    if not served.dump.has("user", "banned"):
        return
    banned = served.rows.sign_up(banned=True)
    response = await served.taskport.tasks(credentials.cookie(banned))
    assert error_of(response) == (403, "USER_BANNED")
    pardoned = served.rows.sign_up(banned=True, banExpires=datetime.now(UTC) - MINUTE)
    assert (await served.taskport.tasks(credentials.cookie(pardoned))).status_code == 200
    still = served.rows.sign_up(banned=True, banExpires=datetime.now(UTC) + 15 * MINUTE)
    assert (await served.taskport.tasks(credentials.cookie(still))).status_code == 403

    _, address = served.rows.add_user(twoFactorEnabled=True)
    response = await served.taskport.log_in(address, PASSWORD)
    assert error_of(response) == (403, "SECOND_FACTOR_REQUIRED")


async def test_their_schema_is_unchanged(served: Served) -> None:
    """But for the triggers, also after requests of each kind."""
    created = await served.taskport.create(credentials.cookie(served.rows.sign_up()))
    assert created.status_code == 201, created.text
    assert commands.their_schema(served.url) == served.schema


@pytest.mark.process
@pytest.mark.parametrize("name", ["drizzle_plural", "kysely_schema"])
def test_serve(empty_database_url: str, name: str) -> None:
    """It migrates by itself, and logs no problem."""
    dump = BY_NAME[name]
    dump.load(empty_database_url)
    person = BetterAuth(empty_database_url, dump).sign_up()
    settings = {"DATABASE_URL": empty_database_url, "BETTER_AUTH_SECRET": SECRET}
    with new_home() as home, home.serving(env=settings) as service, service.client() as client:
        headers = {**credentials.cookie(person), "Origin": ORIGIN}
        created = client.post("/api/tasks", headers=headers, json={"title": "Buy milk"})
        assert (created.status_code, created.json()["user_id"]) == (201, person.id)
        assert service.problems == []


@pytest.mark.parametrize("sessions", ["redis://127.0.0.1:1/0", "remote"])
def test_sessions_elsewhere_need_no_table(empty_database_url: str, sessions: str) -> None:
    """The other tables are adopted as they are."""
    WITHOUT_SESSIONS.load(empty_database_url)
    schema = commands.their_schema(empty_database_url)
    settings = {"BETTER_AUTH_SESSIONS": sessions}
    assert commands.taskport(empty_database_url, "migrate", **settings).code == 0
    assert commands.their_schema(empty_database_url) == schema
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute("select to_regclass('taskport.user')").fetchone()
    assert found == (None,)


@pytest.mark.process
def test_without_a_table_of_sessions(empty_database_url: str) -> None:
    """`migrate`, `check` and `serve` say what to set, and change nothing."""
    WITHOUT_SESSIONS.load(empty_database_url)
    schema = commands.their_schema(empty_database_url)
    settings = {"DATABASE_URL": empty_database_url, "BETTER_AUTH_SECRET": SECRET}
    messages = [
        commands.taskport(empty_database_url, command).refusal for command in ("migrate", "check")
    ]
    with new_home() as home:
        serve = ("serve", "--host=127.0.0.1", "--port=0")
        messages.append(error_message(home.run(*serve, env=settings)))
    assert all("BETTER_AUTH_SESSIONS" in message for message in messages), messages
    assert len(set(messages)) == 1
    assert commands.their_schema(empty_database_url) == schema
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select to_regnamespace('taskport')").fetchone() == (None,)
