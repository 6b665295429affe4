"""Every field of every route × everything that a client should not have sent (S1 to S18).

Each is refused with a clear answer that names the field and repeats nothing; or it is harmless,
and then it comes back as it was sent. A new route, or a new field, without a row here fails.
"""

import json
import re
import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_from_bytes

import httpx
import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Message

from adapters.http.routing import DirectRoute
from adapters.http.schema import all_schemas
from adapters.memory.store import MemoryStore
from tests.http.backend import build_backend
from tests.http.client import scope_of, token
from tests.http.people import PASSWORD, Headers, add_user, bearer

pytestmark = pytest.mark.slow  # A row for each value, and there are thousands.

CANARY: Final = "canary7f3a"
JSON: Final = ("Content-Type", "application/json")
PROBLEM: Final = {
    *("error_code", "message", "details", "type", "title", "status", "detail", "instance"),
    *("request_id", "timestamp"),
}


async def send(
    app: FastAPI,
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    *,
    raw: str | bytes = b"",
    query: str | bytes = b"",
    host: str | None = "test",
    parts: Iterable[bytes] | None = None,
) -> httpx.Response:
    """One request, byte by byte as it is said here; `parts` is a body that comes in pieces."""
    named = [("host", host), *headers] if host is not None else headers
    asked_for = query if isinstance(query, bytes) else query.encode()
    scope = scope_of(method, path, named, query=asked_for, encoding="latin-1")
    body = raw if isinstance(raw, bytes) else raw.encode()
    pieces = [body] if parts is None else list(parts)
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": pieces.pop(0), "more_body": bool(pieces)}

    async def keep(message: Message) -> None:
        said.append(message)

    await app(scope, receive, keep)
    start, *rest = said
    content = b"".join(part["body"] for part in rest)
    return httpx.Response(start["status"], headers=start["headers"], content=content)


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The body of an error, which has every member of the contract and no other."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body: dict[str, Any] = answer.json()
    assert body.keys() == PROBLEM
    assert body["status"] == answer.status_code
    assert body["type"] == "about:blank"
    assert body["detail"] == body["message"] != ""
    assert body["title"]
    assert re.fullmatch(r"[A-Z_]+", body["error_code"])
    assert uuid.UUID(body["instance"].removeprefix("urn:uuid:")).version == 4
    assert body["request_id"] == answer.headers["x-request-id"]
    assert abs(datetime.fromisoformat(body["timestamp"]) - datetime.now(UTC)).total_seconds() < 60
    if body["error_code"] == "VALIDATION_ERROR":
        details = body["details"]
        assert details.keys() == {"field", "error", "errors"}
        assert 0 < len(details["errors"]) <= 32
        for entry in details["errors"]:
            assert entry.keys() == {"field", "pointer", "error"}
            assert entry["error"]
        assert details["field"] == details["errors"][0]["field"]
        assert details["error"] == details["errors"][0]["error"]
    else:
        assert body["details"] == {}
    return body


def refused(
    answer: httpx.Response, status: int, *, at: tuple[str | None, str | None] | None = None
) -> None:
    """An error that tells nothing of what was sent; `at` is the field and the pointer of a 422."""
    assert answer.status_code == status, answer.text
    body = problem_of(answer)
    codes = {400: "MALFORMED_REQUEST", 413: "BODY_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}
    codes |= {404: "NOT_FOUND", 422: "VALIDATION_ERROR"}
    assert body["error_code"] == codes[status]
    if at is not None:
        assert [(e["field"], e["pointer"]) for e in body["details"]["errors"]] == [at]
    assert CANARY not in answer.text.lower()
    assert not any(CANARY in value.lower() for value in answer.headers.values())


# What there is to be attacked


@dataclass(frozen=True)
class Place:
    """A route, and where in a request one of its fields stands: path, query or body."""

    method: str
    path: str
    where: str = ""
    name: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.where} {self.name}".strip()


@dataclass(frozen=True, eq=False)
class Kind:
    """What a field is for. `good` is a value that it takes, as a member of a body has it."""

    good: str = ""
    max_length: int = 0
    nullable: bool = False


TASK_ID, SESSION_ID, ASSET, NUMBER, SORT, SEARCH = (Kind() for _ in range(6))
TITLE: Final = Kind('"a"', 200)
DESCRIPTION: Final = Kind('"a"', 1_000, nullable=True)
NAME: Final = Kind('"a"', 255)
STATUS, FLAG, EMAIL = Kind('"Pending"'), Kind("true"), Kind('"ann@example.com"')
KNOWN, NEW = Kind(json.dumps(PASSWORD)), Kind('"correct horse"')

ONE, TASKS = "/api/tasks/{task_id}", "/api/tasks"
COMPLETE, SIGN_UP, LOG_IN = f"{ONE}/complete", "/api/auth/signup", "/api/auth/login"
USER, SESSION = "/api/users/me", "/api/users/me/sessions/{session_id}"
CHANGES: Final = (("PUT", ONE), ("PATCH", ONE))
FIELDS: Final[dict[Place, Kind]] = {
    **{
        Place(method, path, "path", "task_id"): TASK_ID
        for method, path in (*CHANGES, ("GET", ONE), ("DELETE", ONE), ("PATCH", COMPLETE))
    },
    Place("DELETE", SESSION, "path", "session_id"): SESSION_ID,
    Place("GET", "/docs/{name}", "path", "name"): ASSET,
    Place("GET", TASKS, "query", "page"): NUMBER,
    Place("GET", TASKS, "query", "limit"): NUMBER,
    Place("GET", TASKS, "query", "status"): STATUS,
    Place("GET", TASKS, "query", "sort"): SORT,
    Place("GET", TASKS, "query", "q"): SEARCH,
    **{
        Place(method, path, "body", name): kind
        for method, path in (("POST", TASKS), *CHANGES)
        for name, kind in (("title", TITLE), ("description", DESCRIPTION), ("status", STATUS))
    },
    Place("PATCH", COMPLETE, "body", "completed"): FLAG,
    Place("PATCH", USER, "body", "name"): NAME,
    Place("POST", SIGN_UP, "body", "email"): EMAIL,
    Place("POST", SIGN_UP, "body", "password"): NEW,
    Place("POST", SIGN_UP, "body", "name"): NAME,
    Place("POST", LOG_IN, "body", "email"): EMAIL,
    Place("POST", LOG_IN, "body", "password"): KNOWN,
}
BODIES: Final = list(
    dict.fromkeys((p.method, p.path) for p in FIELDS if p.where == "body"),
)
NEEDED: Final = {
    ("POST", TASKS): ("title",),
    ("PATCH", COMPLETE): ("completed",),
    ("PATCH", USER): ("name",),
    ("POST", SIGN_UP): ("email", "password"),
    ("POST", LOG_IN): ("email", "password"),
}
# Served by FastAPI itself, which reads nothing of the request.
NO_ROUTE_OF_OURS: Final = {"/openapi.json"}


def places_of(app: FastAPI) -> set[Place]:
    """All fields of all routes, as the application knows them."""
    found = set()
    for route in app.routes:
        assert isinstance(route, Route)
        if not isinstance(route, DirectRoute):
            assert route.path in NO_ROUTE_OF_OURS
            continue
        asked = route.dependant
        for method in route.methods or ():
            for parameter in asked.path_params:
                found.add(Place(method, route.path, "path", parameter.alias))
            for parameter in asked.query_params:
                found.add(Place(method, route.path, "query", parameter.alias))
            for body in asked.body_params:
                members = re.findall(r"schemas\.(\w+)", repr(body.field_info.annotation))
                [model] = {schema_named(member) for member in members}
                for name in model.model_fields:
                    found.add(Place(method, route.path, "body", name))
    return found


def schema_named(name: str) -> Any:
    return {schema.__name__: schema for schema in all_schemas()}[name]


def test_every_field_has_a_row(app: FastAPI) -> None:
    assert places_of(app) == FIELDS.keys()


def test_the_document_knows_the_same_fields(app: FastAPI) -> None:
    document = app.openapi()
    found = set()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] != "header":
                    place = Place(method.upper(), path, parameter["in"], parameter["name"])
                    found.add(place)
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                name = schema["$ref"].rpartition("/")[2]
                for member in document["components"]["schemas"][name]["properties"]:
                    found.add(Place(method.upper(), path, "body", member))
    assert found == {place for place in FIELDS if not place.path.startswith("/docs")}


class World:
    """Ann with a task, and requests of hers that are good but for one field."""

    def __init__(self, app: FastAPI, store: MemoryStore | None) -> None:
        self.app, self.store = app, store
        self.headers: Headers = bearer(token())
        self.task_id = 0

    async def begin(self) -> None:
        """As if nothing had happened yet."""
        if self.store is not None:
            self.store.clear()
            add_user(self.store)
        made = await send(self.app, "POST", TASKS, [*self.headers, JSON], raw='{"title":"a"}')
        assert made.status_code == 201, made.text
        self.task_id = made.json()["id"]

    async def say(
        self, route: tuple[str, str], raw: str | bytes = b"", query: str | bytes = b"", **path: str
    ) -> httpx.Response:
        method, template = route
        where = template.format(**{"task_id": self.task_id, "session_id": "s", "name": "x", **path})
        shown = [] if template in (SIGN_UP, LOG_IN) else self.headers
        return await send(self.app, method, where, [*shown, JSON], raw=raw, query=query)

    async def put(self, place: Place, literal: str | bytes) -> httpx.Response:
        """A body that is good but for this member, which has this JSON text for a value."""
        return await self.say((place.method, place.path), body_with(place, literal))

    def rows(self) -> object:
        """What there is, to see that nothing was changed by what was refused."""
        store = self.store
        return None if store is None else (len(store.tasks), len(store.users), len(store.sessions))


def body_with(place: Place, literal: str | bytes) -> bytes:
    others = [
        f'"{name}":{FIELDS[Place(place.method, place.path, "body", name)].good}'
        for name in NEEDED.get((place.method, place.path), ())
        if name != place.name
    ]
    value = literal if isinstance(literal, bytes) else literal.encode()
    return b"{%s}" % b",".join(
        [*map(str.encode, others), b'"%s":%s' % (place.name.encode(), value)]
    )


def body_for(route: tuple[str, str]) -> bytes:
    """A good one; nothing for a route that takes none."""
    members = [f'"{n}":{FIELDS[Place(*route, "body", n)].good}' for n in NEEDED.get(route, ())]
    return f"{{{','.join(members)}}}".encode() if route in BODIES else b""


@pytest.fixture
async def world(app: FastAPI, store: MemoryStore) -> World:
    world = World(app, store)
    await world.begin()
    return world


def of(where: str, *kinds: Kind) -> list[Any]:
    return [
        pytest.param(place, id=str(place))
        for place, kind in FIELDS.items()
        if place.where == where and (not kinds or any(kind is one for one in kinds))
    ]


# Path and query: what is hostile is sent with percent signs, and as bytes

NOT_CANONICAL: Final = {
    "S5 a sign": b"+1",
    "S5 an underscore": b"1_0",
    "S5 a space before": b" 1",
    "S5 a space behind": b"1 ",
    "S5 a tab": b"1\t",
    "S5 a point": b"1.0",
    "S5 an exponent": b"1e0",
    "S5 a leading zero": b"01",
    "S5 in hexadecimal": b"0x1",
    "S5 other digits": "٣".encode(),
    "S5 wide digits": "１".encode(),
    "S5 a power": "²".encode(),
    "S4 zero": b"0",
    "S4 minus zero": b"-0",
    "S4 negative": b"-1",
    "S4 2^63": b"9223372036854775808",
    "S4 2^64 + 1": b"18446744073709551617",
    "S4 30 digits": b"9" * 30,
    "S4 5,000 digits": b"9" * 5_000,
    "S3 not a number": b"NaN",
    "S3 infinity": b"Infinity",
    "S16 true": b"true",
    "S1 NUL": f"{CANARY}\0".encode(),
    "S1 a number and NUL": b"1\0",
    "S2 a lone surrogate": b"\xed\xa0\x80",
    "S2 not UTF-8": b"\xff" + CANARY.encode(),
    "S2 UTF-8 that is too long": b"\xc0\xb1",
    "S9 SQL": f"1; drop table task--{CANARY}".encode(),
    "S9 a quotation mark": f"1' or '1'='1{CANARY}".encode(),
    "S9 a wildcard": b"%",
    "S21 a header": f"1\r\nSet-Cookie: {CANARY}=1".encode(),
    "S18 an override": f"\u202e{CANARY}".encode(),
    "nothing": b"",
    "a list": b"1,2",
    "an object": b'{"$gt":0}',
}
# A path of these is another path, which nobody serves.
NO_SEGMENT: Final = ("nothing",)


@pytest.mark.parametrize("place", of("path"))
async def test_ids_in_a_path(world: World, place: Place) -> None:
    before = world.rows()
    is_number = FIELDS[place] is TASK_ID
    route = place.method, place.path
    for name, value in NOT_CANONICAL.items():
        # As a server decodes it; these letters and digits are an id of a session, or a name.
        segment = value.decode("utf-8", "replace")
        is_plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", segment) and not is_number
        answer = await world.say(route, body_for(route), **{place.name: segment})
        if name in NO_SEGMENT or is_plain or FIELDS[place] is ASSET:
            assert answer.status_code == 404, name
            assert problem_of(answer)["error_code"] in ("NOT_FOUND", "SESSION_NOT_FOUND"), name
            assert CANARY not in answer.text
        else:
            refused(answer, 422, at=(place.name, None))
    assert world.rows() == before


@pytest.mark.parametrize("place", of("query", NUMBER, STATUS, SORT))
async def test_values_in_a_query(world: World, place: Place) -> None:
    for name, value in NOT_CANONICAL.items():
        query = f"{place.name}={quote_from_bytes(value, safe='')}"
        refused(
            await world.say((place.method, place.path), query=query), 422, at=(place.name, None)
        )
        if not any(byte <= 0x20 or byte in b"+#&%" for byte in value):
            # As a server hands over what came without percent signs.
            answer = await world.say(
                (place.method, place.path), query=place.name.encode() + b"=" + value
            )
            refused(answer, 422, at=(place.name, None))
        del name
    for bound in {"page": (1_000_001,), "limit": (101, 1_000)}.get(place.name, ()):
        answer = await world.say((place.method, place.path), query=f"{place.name}={bound}")
        refused(answer, 422, at=(place.name, None))


async def test_a_query_that_is_not_utf_8(world: World) -> None:
    """It is refused, not looked for with U+FFFD in the place of what could not be read."""
    for value in (b"%ff", b"a%C3", b"%ED%A0%80", b"%C0%80", b"%F5%80%80%80", b"\xff", b"\xc3\xa4"):
        answer = await world.say(("GET", TASKS), query=b"q=" + value)
        refused(answer, 422, at=("q", None))
        answer = await world.say(("GET", TASKS), query=value + b"=1")
        refused(answer, 422, at=(None, None))
    # Who means the replacement character, says so.
    assert (await world.say(("GET", TASKS), query="q=%EF%BF%BD")).json()["total"] == 0


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    ]


async def test_parameters_that_nobody_knows_or_that_come_twice(world: World) -> None:
    """S15, S17. On every route; what a name says is repeated only where it is harmless."""
    known = {place.name for place in FIELDS if place.where == "query"}
    for method, path in routes_of(world.app):
        raw = body_for((method, path))
        where = {"name": "start.js"} if path.startswith("/docs") else {}
        for name, shown in (
            ("unknown", "unknown"),
            ("__proto__", "__proto__"),
            ("a.b-c_9", "a.b-c_9"),
            ("x" * 64, "x" * 64),
            ("x" * 65, None),
            ("", None),
            (CANARY + "%20", None),
            (CANARY + "%00", None),
            (CANARY + "[]", None),
            ("%3Cscript%3E" + CANARY, None),
            (CANARY + "%0D%0ASet-Cookie:", None),
            (CANARY + "%ED%A0%80", None),
            (CANARY + "%C3%A4", None),
        ):
            answer = await world.say((method, path), raw, f"{name}={CANARY}", **where)
            refused(answer, 422, at=(shown, None))
        for name in known if path == TASKS and method == "GET" else ():
            value = {"status": "Pending", "sort": "title"}.get(name, "1")
            for second in (value, "", f"{CANARY}%00"):
                answer = await world.say((method, path), raw, f"{name}={value}&{name}={second}")
                assert answer.status_code == 422
                assert {e["field"] for e in problem_of(answer)["details"]["errors"]} == {name}
                assert CANARY not in answer.text


async def test_separators(world: World) -> None:
    """Only `&` parts; so a `;` smuggles in nothing, and `+` is a space."""
    await world.put(Place("PATCH", ONE, "body", "title"), '"a b;limit=1"')
    for query, total in (("q=a+b;limit=1", 1), ("q=b;limit=1", 1), ("q=a%2Bb", 0), ("&&", 1)):
        assert (await world.say(("GET", TASKS), query=query)).json()["total"] == total
    refused(await world.say(("GET", TASKS), query="limit=1;page=1"), 422, at=("limit", None))
    refused(await world.say(("GET", TASKS), query="q"), 422, at=("q", None))


# Bodies as a whole

WHOLES: Final[dict[str, tuple[int, str | bytes]]] = {
    "S11 33 levels": (400, '{"title":' + "[" * 32 + "]" * 32 + "}"),
    "S11 33 levels of objects": (400, '{"title":' + '{"a":' * 32 + "1" + "}" * 32 + "}"),
    "S11 60,000 levels": (400, "[" * 60_000),
    "S11 60,000 levels that end": (400, "[" * 30_000 + "]" * 30_000),
    "S11 100,000 levels": (413, "[" * 100_000),
    "S10 a byte too much": (413, '{"title":"x"' + " " * (65_537 - 13) + "}"),
    "S12 a member twice": (400, f'{{"title":"{CANARY}","title":"y"}}'),
    "S12 the same in other letters": (400, '{"title":"x","\\u0074itle":"y"}'),
    "S12 an unknown member twice": (400, '{"title":"x","y":1,"y":1}'),
    "S12 within": (400, '{"title":{"a":1,"\\u0061":2}}'),
    "S12 within a list": (400, '{"title":[{"a":1,"a":1}]}'),
    "S13 with a mark": (400, b'\xef\xbb\xbf{"title":"x"}'),
    "S13 UTF-16": (400, '{"title":"x"}'.encode("utf-16")),
    "S13 UTF-32": (400, '{"title":"x"}'.encode("utf-32-le")),
    "S13 latin-1": (400, '{"title":"ä"}'.encode("latin-1")),
    "S14 compressed": (400, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    "S2 surrogates as bytes": (400, b'{"title":"\xed\xa0\x80"}'),
    "S3 a number of 5,000 digits": (400, '{"title":' + "9" * 5_000 + "}"),
    "S3 NaN somewhere": (400, '{"title":"x","y":[NaN]}'),
    "S1 NUL as a byte": (400, b'{"title":"\0"}'),
    "S1 NUL behind": (400, b'{"title":"x"}\0'),
    "two values": (400, '{"title":"x"}{}'),
    "half a value": (400, f'{{"title":"{CANARY}'),
    "a comma too many": (400, '{"title":"x",}'),
    "a comment": (400, '{"title":"x"/**/}'),
    "single quotation marks": (400, "{'title':'x'}"),
    "a name without marks": (400, '{title:"x"}'),
    "a line break in a string": (400, '{"title":"a\nb"}'),
    "a wrong escape": (400, '{"title":"\\x41"}'),
    "a number that is none": (400, '{"title":01}'),
    "white space alone": (400, " "),
    "a form": (400, f"title={CANARY}"),
    "null": (422, "null"),
    "a list": (422, "[]"),
    "a list of one": (422, '[{"title":"x"}]'),
    "a string": (422, f'"{CANARY}"'),
    "a number": (422, "-0"),
    "true": (422, "true"),
}


@pytest.mark.parametrize("route", BODIES, ids=map(" ".join, BODIES))
async def test_bodies_as_a_whole(world: World, route: tuple[str, str]) -> None:
    before = world.rows()
    for name, (status, raw) in WHOLES.items():
        answer = await world.say(route, raw)
        assert answer.status_code == status, name
        refused(answer, status, at=(None, "") if status == 422 else None)
    assert world.rows() == before


@pytest.mark.parametrize("route", BODIES, ids=map(" ".join, BODIES))
async def test_members_that_nobody_knows(world: World, route: tuple[str, str]) -> None:
    """S15. A name that is not harmless is not repeated, not even in part."""
    before = world.rows()
    needed = NEEDED.get(route, ())
    good = [f'"{name}":{FIELDS[Place(*route, "body", name)].good}' for name in needed]
    for member, shown in (
        *((name, name) for name in ("id", "user_id", "version", "created_at", "updated_at")),
        *((name, name) for name in ("completed_at", "role", "banned", "email_verified", "token")),
        ("__proto__", "__proto__"),
        ("constructor", "constructor"),
        ("a.b-c", "a.b-c"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("", None),
        (f"{CANARY} ", None),
        (f"{CANARY}/../", None),
        (f"{CANARY}~1", None),
        (f"{CANARY}\\u0000", None),
        (f"{CANARY}\\r\\nSet-Cookie: a=b", None),
        (f"<script>{CANARY}</script>", None),
        (f"{CANARY}ä", None),
        (f"Ti\\u0307tle{CANARY}", None),
        ("ｔｉｔｌｅ", None),
        ("TITLE", "TITLE"),
        ("title\\u0000", None),
    ):
        for value in ("1", "null", f'"{CANARY}"', f'{{"{CANARY}":[]}}'):
            raw = "{" + ",".join([*good, f'"{member}":{value}']) + "}"
            pointer = None if shown is None else f"/{shown}"
            refused(await world.say(route, raw), 422, at=(shown, pointer))
    # A lone surrogate makes the whole object unreadable to the validator.
    for member in ("\\ud800", f"{CANARY}\\udfff", "\\udc00\\ud800"):
        raw = "{" + ",".join([*good, f'"{member}":1']) + "}"
        refused(await world.say(route, raw), 422, at=(None, ""))
    assert world.rows() == before


async def test_an_answer_is_not_many_times_what_was_sent(world: World) -> None:
    """There is room for thousands of members and parameters, each of which is wrong."""
    raw = "{" + ",".join(f'"{n:x}":1' for n in range(6_000)) + "}"
    query = "&".join(f"{n:x}" for n in range(6_000))
    for answer in (
        await world.say(("POST", TASKS), raw),
        await world.say(("GET", TASKS), query=query),
    ):
        refused(answer, 422)
        assert len(answer.content) < 8_192


async def test_bodies_of_another_kind(world: World) -> None:
    """S13, S14. On every route with a body; what it is called decides, not what it is."""
    good = [*bearer(token())]
    for method, path in BODIES:
        where = path.format(task_id=world.task_id)
        for headers in (
            [],
            [("Content-Type", "")],
            [("Content-Type", "text/plain")],
            [("Content-Type", "application/x-www-form-urlencoded")],
            [("Content-Type", "multipart/form-data; boundary=x")],
            [("Content-Type", f"application/{CANARY}")],
            [("Content-Type", "application/json; charset=latin-1")],
            [("Content-Type", "application/json; charset=utf-16")],
            [("Content-Type", "application/json; charset=utf-8; charset=utf-16")],
            [("Content-Type", "application/json; x=y")],
            [("Content-Type", "application/json, text/plain")],
            [("Content-Type", "application/problem+json")],
            [JSON, ("Content-Type", "text/plain")],
            [JSON, JSON],
            *([JSON, ("Content-Encoding", e)] for e in ("gzip", "br", "deflate", CANARY, "")),
            [JSON, ("Content-Encoding", "identity, gzip")],
            [JSON, ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")],
        ):
            answer = await send(world.app, method, where, [*good, *headers], raw='{"title":"x"}')
            refused(answer, 415)


async def test_a_body_is_measured_by_what_arrives(world: World) -> None:
    """S10. Whatever `Content-Length` says, and in however many pieces it comes."""
    headers = [*bearer(token()), JSON]
    large = [b'{"title":"x"', *[b" " * 1_024] * 64, b"}"]
    for said in ([], [("Content-Length", "10")], [("Transfer-Encoding", "chunked")]):
        for method, path in BODIES:
            where = path.format(task_id=world.task_id)
            answer = await send(world.app, method, where, [*headers, *said], parts=large)
            refused(answer, 413)
            assert answer.headers["connection"] == "close"
    answer = await send(world.app, "POST", TASKS, headers, parts=[b"", b'{"title":', b'"x"}', b""])
    assert answer.status_code == 201


# Members of bodies

NO_TEXT: Final[dict[str, tuple[int, str]]] = {
    "S3 NaN": (400, "NaN"),
    "S3 Infinity": (400, "Infinity"),
    "S3 -Infinity": (400, "-Infinity"),
    "S3 1e999": (400, "1e999"),
    "S3 -1e999": (400, "-1e999"),
    "S4 5,000 digits": (400, "9" * 5_000),
    "S4 4,000 digits": (422, "9" * 4_000),
    "S4 2^63": (422, "9223372036854775808"),
    "S3 -0": (422, "-0"),
    "S16 1": (422, "1"),
    "S16 1.0": (422, "1.0"),
    "S16 0": (422, "0"),
    "S3 1e308": (422, "1e308"),
    "S3 a small number": (422, "1e-400"),
    "a list": (422, "[]"),
    "a list of one": (422, f'["{CANARY}"]'),
    "an object": (422, f'{{"{CANARY}":"{CANARY}"}}'),
    "S15 a prototype": (422, '{"__proto__":{}}'),
    "S2 an object with a lone surrogate": (422, '{"\\ud800":1}'),
    "S11 33 levels": (400, "[" * 32 + "]" * 32),
    "S12 a member twice": (400, '{"a":1,"a":1}'),
}
SURROGATES: Final = ("\\ud800", "\\udfff", f"{CANARY}\\ud800", "\\udc00\\ud800", "\\ud83dx")
BOOLEANS: Final = ("true", "false")
WRONG_TEXT: Final = {
    "S1 NUL": f"{CANARY}\0",
    "S1 NUL alone": "\0",
    "S18 a bell": f"{CANARY}\a",
    "S18 an escape": f"\x1b[31m{CANARY}",
    "S18 a delete": f"{CANARY}\x7f",
    "S18 C1": f"{CANARY}\x85x",
    **{f"S18 U+{ord(c):04X}": f"{CANARY}{c}x" for c in "\u202a\u202d\u202e\u2066\u2068\u2069"},
}
NO_LINE: Final = {
    "S21 CR LF": f"{CANARY}\r\nSet-Cookie: a=b",
    "S21 LF": f"{CANARY}\nx",
    "S21 CR": f"{CANARY}\rx",
    "S18 a tab": f"{CANARY}\tx",
}
INVISIBLE: Final = ("", " ", "\u200b", "\u200d\ufeff", "\u3164", "\u00ad", "\u2800", "\u00a0")
HARMLESS: Final = {
    "S9 SQL": "'; drop table task; --",
    "S9 SQL, stacked": "x'); delete from \"user\" where ('1'='1",
    "S9 a union": "' union select token from session --",
    "S9 dollars": "$1 $$ :name ? %s %(a)s {0}",
    "S9 wildcards": "100%_\\%",
    "S9 a backslash": "a\\",
    "S9 a pattern": "(a+)+$ [ ( ) {9999999} \\1",
    "S8 jsonb": '{"a":"\\u0000"}',
    "a page": "<script>alert(1)</script>&lt;",
    "a template": "{{7*7}} ${jndi:ldap://x} #{x}",
    "a path": "../../etc/passwd",
    "a formula": "=cmd|' /C calc'!A0",
    "S7 a date": "infinity",
    "null as text": "null",
    "S18 a joiner": "👩\u200d👩\u200d👧",
    "S18 zero width": "a\u200bb\u200cc",
    "right to left": "שלום עולם",
    "S18 a mark of direction": "a\u200fb",
    "beyond U+FFFF": "𝒳 😀 𠮷",
    "S18 no characters": "a\ufffe\uffff\U0010ffff",
    "of private use": "a\ue000",
    "replaced": "a\ufffd",
    "S18 a cut of letters": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "S18 dotted": "İıſK",
}


def normal(text: str) -> str:
    """What the contract makes of a text that it lets pass."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lines).strip()


@pytest.mark.parametrize("place", of("body"))
async def test_values_of_another_type(world: World, place: Place) -> None:
    before, at = world.rows(), (place.name, f"/{place.name}")
    kind = FIELDS[place]
    for name, (status, literal) in NO_TEXT.items():
        answer = await world.put(place, literal)
        assert answer.status_code == status, name
        refused(answer, status, at=at if status == 422 else None)
    for literal in () if kind is FLAG else BOOLEANS:
        refused(await world.put(place, literal), 422, at=at)
    for literal in () if kind.nullable else ("null",):
        refused(await world.put(place, literal), 422, at=at)
    for text in () if kind in (KNOWN, NEW) else SURROGATES:
        refused(await world.put(place, f'"{text}"'), 422, at=at)
    twice = body_with(place, kind.good)[:-1] + b',"%s":%s}'
    same = f"\\u{ord(place.name[0]):04x}{place.name[1:]}"
    for second in (place.name, same):
        raw = twice % (second.encode(), kind.good.encode())
        refused(await world.say((place.method, place.path), raw), 400)
    assert world.rows() == before


@pytest.mark.parametrize("place", of("body", STATUS, EMAIL, FLAG))
async def test_texts_that_are_none_of_the_few(world: World, place: Place) -> None:
    before, at = world.rows(), (place.name, f"/{place.name}")
    good = json.loads(FIELDS[place].good)
    near = [f"{good} ", f" {good}", f"{good}\0", f"{good}\n", str(good).swapcase(), "", "Pending,"]
    if FIELDS[place] is EMAIL:
        near = [*near[:4], "", "ann", "ann@", "@example.com", "ann@example", "ann@@example.com"]
        near += [
            "änn@example.com",
            "ann@exämple.com",
            f"{'a' * 250}@example.com",
            "a b@example.com",
        ]
        near += ["ann@example.com\r\nBcc: bob@example.com", '"a"@example.com', "ann@[127.0.0.1]"]
        near += ["ann@example.com'--", "ann@example.com;drop", "<ann@example.com>", "ann@e.c\u202e"]
    for text in (*near, *HARMLESS.values(), *WRONG_TEXT.values(), *NO_LINE.values(), *INVISIBLE):
        refused(await world.put(place, json.dumps(text)), 422, at=at)
    assert world.rows() == before


@pytest.mark.parametrize("place", of("body", TITLE, DESCRIPTION, NAME))
async def test_texts_that_break_the_rules(world: World, place: Place) -> None:
    before, at = world.rows(), (place.name, f"/{place.name}")
    kind = FIELDS[place]
    bound = kind.max_length
    for text in (
        *WRONG_TEXT.values(),
        *(() if kind is DESCRIPTION else NO_LINE.values()),
        *(INVISIBLE if kind is TITLE else ()),
        f"{CANARY}{'x' * (bound - len(CANARY) + 1)}",
        "😀" * (bound + 1),
        # Short when it is sent, too long as it would be kept.
        "\u0958" * (bound // 2 + 1),
        "e" + "\u0334" * bound,
        "x" * 60_000,
    ):
        refused(await world.put(place, json.dumps(text)), 422, at=at)
    assert world.rows() == before


async def text_of(world: World, place: Place, text: str) -> str | None:
    """What of a text comes back that was taken."""
    if place.path == SIGN_UP:
        await world.begin()
        literal = json.dumps({"email": "new@example.com", "password": PASSWORD, "name": text})
        answer = await world.say((place.method, place.path), literal)
    else:
        answer = await world.put(place, json.dumps(text))
    assert answer.is_success, (text, answer.text)
    body = answer.json()
    shown: str | None = (body["user"] if place.path == SIGN_UP else body)[place.name]
    if place.path in (TASKS, ONE):
        path = f"{TASKS}/{body['id']}"
        again = (await send(world.app, "GET", path, world.headers)).json()
        assert again[place.name] == shown
    return shown


@pytest.mark.parametrize("place", of("body", TITLE, DESCRIPTION, NAME))
async def test_texts_that_are_harmless(world: World, place: Place) -> None:
    """S9, S18. They come back as they were sent, or as NFC where they were not in it."""
    kind = FIELDS[place]
    bound = kind.max_length
    for text in (
        *HARMLESS.values(),
        "e\u0301\u212b\u0958",
        f"  {CANARY}  ",
        "x" * bound,
        "😀" * bound,
        "\u0958" * (bound // 2),
        # Long when it is sent, short enough as it is kept.
        "e\u0301" * bound,
        "e" + "\u0334" * (bound - 1),
        f"{'x' * bound}\u2003",
        *(NO_LINE.values() if kind is DESCRIPTION else ()),
        *(() if kind is TITLE else ("", " ")),
    ):
        assert await text_of(world, place, text) == normal(text)
        assert unicodedata.is_normalized("NFC", normal(text))


async def test_a_thousand_marks(world: World) -> None:
    """S18. Too many for a title, and one too many for a description."""
    marks = "e" + "\u0334" * 1_000
    for place in FIELDS:
        if FIELDS[place] in (TITLE, DESCRIPTION, NAME):
            answer = await world.put(place, json.dumps(marks))
            refused(answer, 422, at=(place.name, f"/{place.name}"))


@pytest.mark.parametrize("place", of("body", KNOWN, NEW))
async def test_passwords(world: World, place: Place) -> None:
    """They are hashed and never kept: only their length counts. Even a lone surrogate is good, for
    to Better Auth it is."""
    at = (place.name, f"/{place.name}")
    for text in (f"{CANARY}{'x' * 119}", "😀" * 65, "x" * 60_000):
        refused(await world.put(place, json.dumps(text)), 422, at=at)
    if FIELDS[place] is NEW:
        refused(await world.put(place, '"short77"'), 422, at=at)
    for text in (*HARMLESS.values(), *WRONG_TEXT.values(), *NO_LINE.values(), "\ud800", "😀" * 64):
        padded = text.ljust(8, "x")
        raw = {"email": f"{uuid.uuid4().hex}@example.com", "password": padded}
        if FIELDS[place] is NEW:
            made = await world.say(("POST", SIGN_UP), json.dumps(raw))
            assert made.status_code == 201, text
            assert padded not in made.text
            assert (await world.say(("POST", LOG_IN), json.dumps(raw))).status_code == 200
        else:
            answer = await world.say(("POST", LOG_IN), json.dumps(raw))
            assert problem_of(answer)["error_code"] == "INVALID_CREDENTIALS"
            assert CANARY not in answer.text


async def test_searches(world: World) -> None:
    """S9. What is looked for is text, and finds what has that text in it, and nothing else."""
    for text in HARMLESS.values():
        await world.put(Place("POST", TASKS, "body", "title"), json.dumps(text))
    await world.put(Place("POST", TASKS, "body", "title"), '"plain"')
    for text in HARMLESS.values():
        query = f"q={quote_from_bytes(text.encode(), safe='')}&limit=100"
        found = (await world.say(("GET", TASKS), query=query)).json()
        assert [task["title"] for task in found["data"]] == [text], text
    for text in (".*", "a|b", "_____________", "%%", "[a-z]", "^", "\\x"):
        query = f"q={quote_from_bytes(text.encode(), safe='')}"
        assert (await world.say(("GET", TASKS), query=query)).json()["total"] == 0, text
    for wrong in (*WRONG_TEXT.values(), "", "x" * 201, "\u0958" * 101, "e" + "\u0334" * 1_000):
        query = f"q={quote_from_bytes(wrong.encode(), safe='')}"
        refused(await world.say(("GET", TASKS), query=query), 422, at=("q", None))


# The same over a real database, where what slips through would be an error of its own


@pytest.mark.postgres
async def test_postgres_sees_nothing_of_it(database_url: str) -> None:
    """S1, S2, S4, S8, S9, S22: refused before it gets there, or kept as it is."""
    app = build_backend(database_url=database_url).app
    async with app.router.lifespan_context(app):
        world = World(app, None)
        await world.begin()
        for place in FIELDS:
            route = place.method, place.path
            if place.where == "path" and FIELDS[place] in (TASK_ID, SESSION_ID):
                for value in (
                    b"9223372036854775808",
                    b"1\0",
                    b"\xff",
                    b"1' or '1'='1",
                    b"\xed\xa0\x80",
                ):
                    segment = value.decode("utf-8", "replace")
                    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", segment):
                        answer = await world.say(route, body_for(route), **{place.name: segment})
                        refused(answer, 422, at=(place.name, None))
                segment = {"task_id": str(2**63 - 1), "session_id": "x' or 1=1"}[place.name]
                answer = await world.say(route, body_for(route), **{place.name: segment})
                assert answer.status_code == (404 if FIELDS[place] is TASK_ID else 422)
            kind = FIELDS[place]
            if kind in (TITLE, DESCRIPTION, NAME) and place.path != SIGN_UP:
                for text in WRONG_TEXT.values():
                    refused(await world.put(place, json.dumps(text)), 422)
                for text in SURROGATES:
                    refused(await world.put(place, f'"{text}"'), 422)
                bound = kind.max_length
                for text in (*HARMLESS.values(), "😀" * bound, "\u0958" * (bound // 2)):
                    assert await text_of(world, place, text) == normal(text)
        await searched_on_postgres(world)


async def searched_on_postgres(world: World) -> None:
    for text in HARMLESS.values():
        query = f"q={quote_from_bytes(text.encode(), safe='')}&limit=100"
        found = (await world.say(("GET", TASKS), query=query)).json()
        assert text in {task["title"] for task in found["data"]}, text
        for task in found["data"]:
            texts = f"{task['title']}\0{task['description']}"
            assert text.casefold() in texts.casefold() or text in texts
    for bad in ("%00", "%ff", "%ED%A0%80", "%C0%80"):
        refused(await world.say(("GET", TASKS), query=f"q=a{bad}"), 422, at=("q", None))
    for query in ("page=1000000&limit=100", "q=%25%25", "q=\\", "sort=title&q=("):
        assert (await world.say(("GET", TASKS), query=query)).status_code == 200, query
