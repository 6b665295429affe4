"""Hostile values in paths and queries: each is rejected with an error that does not repeat it."""

import json
import re
from typing import Final
from urllib.parse import quote_from_bytes

import pytest
from fastapi import FastAPI

from adapters.http.routing import DirectRoute
from tests.http.api import ONE_TASK, TASKS
from tests.http.client import problem_of
from tests.http.fields import (
    ASSET_NAME,
    CANARY,
    FIELDS,
    NUMBER,
    SORT,
    STATUS,
    TASK_ID,
    Field,
    FieldClient,
    assert_rejected,
    fields_in,
    valid_body,
)
from tests.http.texts import ALLOWED_TEXT, FORBIDDEN_TEXT

pytestmark = pytest.mark.slow  # Thousands of requests.

NON_CANONICAL: Final = {
    "a sign": b"+1",
    "an underscore": b"1_0",
    "a leading space": b" 1",
    "a trailing space": b"1 ",
    "a tab": b"1\t",
    "a decimal point": b"1.0",
    "an exponent": b"1e0",
    "a leading zero": b"01",
    "hexadecimal": b"0x1",
    "Arabic digits": "٣".encode(),
    "full-width digits": "１".encode(),
    "a superscript digit": "²".encode(),
    "zero": b"0",
    "minus zero": b"-0",
    "negative": b"-1",
    "2^63": b"9223372036854775808",
    "2^64 + 1": b"18446744073709551617",
    "30 digits": b"9" * 30,
    "5,000 digits": b"9" * 5_000,
    "not a number": b"NaN",
    "infinity": b"Infinity",
    "true": b"true",
    "NUL": f"{CANARY}\0".encode(),
    "a number and NUL": b"1\0",
    "a lone surrogate": b"\xed\xa0\x80",
    "not UTF-8": b"\xff" + CANARY.encode(),
    "overlong UTF-8": b"\xc0\xb1",
    "SQL": f"1; drop table task--{CANARY}".encode(),
    "a quotation mark": f"1' or '1'='1{CANARY}".encode(),
    "a wildcard": b"%",
    "a header": f"1\r\nSet-Cookie: {CANARY}=1".encode(),
    "a bidirectional override": f"\u202e{CANARY}".encode(),
    "empty": b"",
    "a list": b"1,2",
    "an object": b'{"$gt":0}',
}


@pytest.mark.parametrize("field", fields_in("path"))
async def test_path_parameters(field_client: FieldClient, field: Field) -> None:
    before = field_client.row_counts()
    is_number = FIELDS[field] is TASK_ID
    route = field.route
    for name, value in NON_CANONICAL.items():
        # As a server decodes it. A plain segment is a valid session id and asset name.
        segment = value.decode("utf-8", "replace")
        is_plain = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", segment) and not is_number
        response = await field_client.send(route, valid_body(route), **{field.name: segment})
        if not segment or is_plain or FIELDS[field] is ASSET_NAME:
            assert response.status_code == 404, name
            assert problem_of(response)["error_code"] in ("NOT_FOUND", "SESSION_NOT_FOUND"), name
            assert CANARY not in response.text
        else:
            assert_rejected(response, 422, at=(field.name, None))
    assert field_client.row_counts() == before


@pytest.mark.parametrize("field", fields_in("query", NUMBER, STATUS, SORT))
async def test_query_parameters(field_client: FieldClient, field: Field) -> None:
    for value in NON_CANONICAL.values():
        query = f"{field.name}={quote_from_bytes(value, safe='')}"
        assert_rejected(
            await field_client.send(field.route, query=query), 422, at=(field.name, None)
        )
        if not any(byte <= 0x20 or byte in b"+#&%" for byte in value):
            # A server passes these bytes on without percent-encoding.
            response = await field_client.send(
                field.route, query=field.name.encode() + b"=" + value
            )
            assert_rejected(response, 422, at=(field.name, None))
    for bound in {"page": (1_000_001,), "limit": (101, 1_000)}.get(field.name, ()):
        response = await field_client.send(field.route, query=f"{field.name}={bound}")
        assert_rejected(response, 422, at=(field.name, None))


async def test_query_that_is_not_utf_8(field_client: FieldClient) -> None:
    """It is rejected, instead of searched for with U+FFFD for the undecodable bytes."""
    for value in (b"%ff", b"a%C3", b"%ED%A0%80", b"%C0%80", b"%F5%80%80%80", b"\xff", b"\xc3\xa4"):
        response = await field_client.send(("GET", TASKS), query=b"q=" + value)
        assert_rejected(response, 422, at=("q", None))
        response = await field_client.send(("GET", TASKS), query=value + b"=1")
        assert_rejected(response, 422, at=(None, None))
    # A replacement character in the query itself is valid.
    assert (await field_client.send(("GET", TASKS), query="q=%EF%BF%BD")).json()["total"] == 0


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, DirectRoute)
        for method in route.methods or ()
    ]


async def test_unknown_and_repeated_parameters(field_client: FieldClient) -> None:
    """On every route. The error repeats a name only if it is harmless."""
    known = {field.name for field in FIELDS if field.location == "query"}
    for method, path in routes_of(field_client.app):
        content = valid_body((method, path))
        segments = {"name": "start.js"} if path.startswith("/docs") else {}
        for name, expected in (
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
            response = await field_client.send(
                (method, path), content, f"{name}={CANARY}", **segments
            )
            assert_rejected(response, 422, at=(expected, None))
        for name in known if path == TASKS and method == "GET" else ():
            value = {"status": "Pending", "sort": "title"}.get(name, "1")
            for second in (value, "", f"{CANARY}%00"):
                response = await field_client.send(
                    (method, path), content, f"{name}={value}&{name}={second}"
                )
                assert response.status_code == 422
                assert {e["field"] for e in problem_of(response)["details"]["errors"]} == {name}
                assert CANARY not in response.text


async def test_separators_of_parameters(field_client: FieldClient) -> None:
    """Only `&` separates parameters: a `;` cannot smuggle one in. `+` is a space."""
    await field_client.send_value(Field("PATCH", ONE_TASK, "body", "title"), '"a b;limit=1"')
    for query, total in (("q=a+b;limit=1", 1), ("q=b;limit=1", 1), ("q=a%2Bb", 0), ("&&", 1)):
        assert (await field_client.send(("GET", TASKS), query=query)).json()["total"] == total
    assert_rejected(
        await field_client.send(("GET", TASKS), query="limit=1;page=1"), 422, at=("limit", None)
    )
    assert_rejected(await field_client.send(("GET", TASKS), query="q"), 422, at=("q", None))


async def test_search_text(field_client: FieldClient) -> None:
    """A search finds exactly the titles that contain its text; nothing in it is a pattern."""
    for text in ALLOWED_TEXT.values():
        await field_client.send_value(Field("POST", TASKS, "body", "title"), json.dumps(text))
    await field_client.send_value(Field("POST", TASKS, "body", "title"), '"plain"')
    for text in ALLOWED_TEXT.values():
        query = f"q={quote_from_bytes(text.encode(), safe='')}&limit=100"
        page = (await field_client.send(("GET", TASKS), query=query)).json()
        assert [task["title"] for task in page["data"]] == [text], text
    for text in (".*", "a|b", "_____________", "%%", "[a-z]", "^", "\\x"):
        query = f"q={quote_from_bytes(text.encode(), safe='')}"
        assert (await field_client.send(("GET", TASKS), query=query)).json()["total"] == 0, text
    for forbidden in (
        *FORBIDDEN_TEXT.values(),
        "",
        "x" * 201,
        "\u0958" * 101,
        "e" + "\u0334" * 1_000,
    ):
        query = f"q={quote_from_bytes(forbidden.encode(), safe='')}"
        assert_rejected(await field_client.send(("GET", TASKS), query=query), 422, at=("q", None))
