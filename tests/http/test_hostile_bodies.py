"""Hostile bodies: syntax, unknown members, media types and sizes."""

from typing import Final

import pytest

from tests.http.api import TASKS
from tests.http.client import JSON, send_request, shared_secret_token
from tests.http.credentials import bearer
from tests.http.fields import BODIES, CANARY, FIELDS, REQUIRED, Field, FieldClient, assert_rejected

pytestmark = pytest.mark.slow  # Thousands of requests.

BODY_CASES: Final[dict[str, tuple[int, str | bytes]]] = {
    "33 levels": (400, '{"title":' + "[" * 32 + "]" * 32 + "}"),
    "33 levels of objects": (400, '{"title":' + '{"a":' * 32 + "1" + "}" * 32 + "}"),
    "60,000 levels": (400, "[" * 60_000),
    "60,000 closed levels": (400, "[" * 30_000 + "]" * 30_000),
    "100,000 levels": (413, "[" * 100_000),
    "a byte too many": (413, '{"title":"x"' + " " * (65_537 - 13) + "}"),
    "a duplicate member": (400, f'{{"title":"{CANARY}","title":"y"}}'),
    "a duplicate member, escaped": (400, '{"title":"x","\\u0074itle":"y"}'),
    "a duplicate unknown member": (400, '{"title":"x","y":1,"y":1}'),
    "a duplicate member of a member": (400, '{"title":{"a":1,"\\u0061":2}}'),
    "a duplicate member in a list": (400, '{"title":[{"a":1,"a":1}]}'),
    "a byte order mark": (400, b'\xef\xbb\xbf{"title":"x"}'),
    "UTF-16": (400, '{"title":"x"}'.encode("utf-16")),
    "UTF-32": (400, '{"title":"x"}'.encode("utf-32-le")),
    "latin-1": (400, '{"title":"ä"}'.encode("latin-1")),
    "compressed": (400, b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"),
    "encoded surrogates": (400, b'{"title":"\xed\xa0\x80"}'),
    "a number of 5,000 digits": (400, '{"title":' + "9" * 5_000 + "}"),
    "NaN in a list": (400, '{"title":"x","y":[NaN]}'),
    "NUL as a byte": (400, b'{"title":"\0"}'),
    "a trailing NUL": (400, b'{"title":"x"}\0'),
    "two values": (400, '{"title":"x"}{}'),
    "an incomplete value": (400, f'{{"title":"{CANARY}'),
    "a trailing comma": (400, '{"title":"x",}'),
    "a comment": (400, '{"title":"x"/**/}'),
    "single quotation marks": (400, "{'title':'x'}"),
    "an unquoted name": (400, '{title:"x"}'),
    "a line break in a string": (400, '{"title":"a\nb"}'),
    "an invalid escape": (400, '{"title":"\\x41"}'),
    "an invalid number": (400, '{"title":01}'),
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
async def test_whole_bodies(field_client: FieldClient, route: tuple[str, str]) -> None:
    before = field_client.row_counts()
    for name, (status, content) in BODY_CASES.items():
        response = await field_client.send(route, content)
        assert response.status_code == status, name
        assert_rejected(response, status, at=(None, "") if status == 422 else None)
    assert field_client.row_counts() == before


@pytest.mark.parametrize("route", BODIES, ids=map(" ".join, BODIES))
async def test_unknown_members(field_client: FieldClient, route: tuple[str, str]) -> None:
    """The error repeats a name only if it is harmless, and never a part of one."""
    before = field_client.row_counts()
    required = [
        f'"{name}":{FIELDS[Field(*route, "body", name)].valid}' for name in REQUIRED.get(route, ())
    ]
    for member, expected in (
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
            content = "{" + ",".join([*required, f'"{member}":{value}']) + "}"
            pointer = None if expected is None else f"/{expected}"
            assert_rejected(await field_client.send(route, content), 422, at=(expected, pointer))
    # The validator rejects the whole object because of a lone surrogate.
    for member in ("\\ud800", f"{CANARY}\\udfff", "\\udc00\\ud800"):
        content = "{" + ",".join([*required, f'"{member}":1']) + "}"
        assert_rejected(await field_client.send(route, content), 422, at=(None, ""))
    assert field_client.row_counts() == before


async def test_error_is_not_much_larger_than_the_request(field_client: FieldClient) -> None:
    """A request may contain thousands of members or parameters, each of them invalid."""
    content = "{" + ",".join(f'"{n:x}":1' for n in range(6_000)) + "}"
    query = "&".join(f"{n:x}" for n in range(6_000))
    for response in (
        await field_client.send(("POST", TASKS), content),
        await field_client.send(("GET", TASKS), query=query),
    ):
        assert_rejected(response, 422)
        assert len(response.content) < 8_192


async def test_other_media_types(field_client: FieldClient) -> None:
    """On every route with a body; the header decides, whatever the body is."""
    authorization = bearer(shared_secret_token())
    for method, path in BODIES:
        url = path.format(task_id=field_client.task_id)
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
            response = await send_request(
                field_client.app, method, url, [*authorization, *headers], content='{"title":"x"}'
            )
            assert_rejected(response, 415)


async def test_body_size_is_measured(field_client: FieldClient) -> None:
    """Whatever `Content-Length` is, and in any number of chunks."""
    headers = [*bearer(shared_secret_token()), JSON]
    large = [b'{"title":"x"', *[b" " * 1_024] * 64, b"}"]
    for framing in ([], [("Content-Length", "10")], [("Transfer-Encoding", "chunked")]):
        for method, path in BODIES:
            url = path.format(task_id=field_client.task_id)
            response = await send_request(
                field_client.app, method, url, [*headers, *framing], chunks=large
            )
            assert_rejected(response, 413)
            assert response.headers["connection"] == "close"
    response = await send_request(
        field_client.app, "POST", TASKS, headers, chunks=[b"", b'{"title":', b'"x"}', b""]
    )
    assert response.status_code == 201
