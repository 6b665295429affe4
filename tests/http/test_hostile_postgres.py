"""Hostile input over a real database, which would raise errors of its own."""

import json
import re
from urllib.parse import quote_from_bytes

import pytest

from tests.http.api import SIGN_UP, TASKS
from tests.http.backend import build_backend
from tests.http.fields import (
    DESCRIPTION,
    FIELDS,
    NAME,
    SESSION_ID,
    TASK_ID,
    TITLE,
    FieldClient,
    assert_rejected,
    stored_text,
    valid_body,
)
from tests.http.texts import ALLOWED_TEXT, FORBIDDEN_TEXT, SURROGATES, normalized


@pytest.mark.postgres
async def test_hostile_input_over_postgres(database_url: str) -> None:
    """Every value is rejected before the database sees it, or stored unchanged."""
    app = build_backend(database_url=database_url).app
    async with app.router.lifespan_context(app):
        field_client = FieldClient(app, None)
        await field_client.reset()
        for field in FIELDS:
            route = field.route
            if field.location == "path" and FIELDS[field] in (TASK_ID, SESSION_ID):
                for value in (
                    b"9223372036854775808",
                    b"1\0",
                    b"\xff",
                    b"1' or '1'='1",
                    b"\xed\xa0\x80",
                ):
                    segment = value.decode("utf-8", "replace")
                    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", segment):
                        response = await field_client.send(
                            route, valid_body(route), **{field.name: segment}
                        )
                        assert_rejected(response, 422, at=(field.name, None))
                segment = {"task_id": str(2**63 - 1), "session_id": "x' or 1=1"}[field.name]
                response = await field_client.send(
                    route, valid_body(route), **{field.name: segment}
                )
                assert response.status_code == (404 if FIELDS[field] is TASK_ID else 422)
            kind = FIELDS[field]
            if kind in (TITLE, DESCRIPTION, NAME) and field.path != SIGN_UP:
                for text in FORBIDDEN_TEXT.values():
                    assert_rejected(await field_client.send_value(field, json.dumps(text)), 422)
                for text in SURROGATES:
                    assert_rejected(await field_client.send_value(field, f'"{text}"'), 422)
                length = kind.max_length
                for text in (*ALLOWED_TEXT.values(), "😀" * length, "\u0958" * (length // 2)):
                    assert await stored_text(field_client, field, text) == normalized(text)
        await check_searches(field_client)


async def check_searches(field_client: FieldClient) -> None:
    """Search for texts that Postgres could take for patterns or invalid encodings."""
    for text in ALLOWED_TEXT.values():
        query = f"q={quote_from_bytes(text.encode(), safe='')}&limit=100"
        page = (await field_client.send(("GET", TASKS), query=query)).json()
        assert text in {task["title"] for task in page["data"]}, text
        for task in page["data"]:
            texts = f"{task['title']}\0{task['description']}"
            assert text.casefold() in texts.casefold() or text in texts
    for value in ("%00", "%ff", "%ED%A0%80", "%C0%80"):
        assert_rejected(
            await field_client.send(("GET", TASKS), query=f"q=a{value}"), 422, at=("q", None)
        )
    for query in ("page=1000000&limit=100", "q=%25%25", "q=\\", "sort=title&q=("):
        assert (await field_client.send(("GET", TASKS), query=query)).status_code == 200, query
