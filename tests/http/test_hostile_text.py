"""Hostile values in members of bodies: wrong types and texts are rejected, harmless texts kept."""

import json
import unicodedata
import uuid

import pytest

from tests.http.api import LOG_IN, SIGN_UP
from tests.http.client import problem_of
from tests.http.fields import (
    CANARY,
    COMPLETED,
    DESCRIPTION,
    EMAIL,
    FIELDS,
    LOGIN_PASSWORD,
    NAME,
    NEW_PASSWORD,
    STATUS,
    TITLE,
    Field,
    FieldClient,
    assert_rejected,
    body_with,
    fields_in,
    stored_text,
)
from tests.http.texts import (
    ALLOWED_TEXT,
    BOOLEANS,
    CONTROL_CHARACTERS,
    FORBIDDEN_TEXT,
    INVISIBLE,
    OTHER_TYPES,
    SURROGATES,
    normalized,
)

pytestmark = pytest.mark.slow  # Thousands of requests.


@pytest.mark.parametrize("field", fields_in("body"))
async def test_other_types_are_rejected(field_client: FieldClient, field: Field) -> None:
    before, at = field_client.row_counts(), (field.name, f"/{field.name}")
    kind = FIELDS[field]
    for name, (status, literal) in OTHER_TYPES.items():
        if literal == kind.valid:
            continue
        response = await field_client.send_value(field, literal)
        assert response.status_code == status, name
        assert_rejected(response, status, at=at if status == 422 else None)
    for literal in () if kind is COMPLETED else BOOLEANS:
        assert_rejected(await field_client.send_value(field, literal), 422, at=at)
    for literal in () if kind.nullable else ("null",):
        assert_rejected(await field_client.send_value(field, literal), 422, at=at)
    for text in () if kind in (LOGIN_PASSWORD, NEW_PASSWORD) else SURROGATES:
        assert_rejected(await field_client.send_value(field, f'"{text}"'), 422, at=at)
    start = body_with(field, kind.valid)[:-1]
    escaped = f"\\u{ord(field.name[0]):04x}{field.name[1:]}"
    for second in (field.name, escaped):
        content = start + b',"%s":%s}' % (second.encode(), kind.valid.encode())
        assert_rejected(await field_client.send(field.route, content), 400)
    assert field_client.row_counts() == before


@pytest.mark.parametrize("field", fields_in("body", STATUS, EMAIL, COMPLETED))
async def test_invalid_values_are_rejected(field_client: FieldClient, field: Field) -> None:
    before, at = field_client.row_counts(), (field.name, f"/{field.name}")
    valid = json.loads(FIELDS[field].valid)
    invalid = [f"{valid} ", f" {valid}", f"{valid}\0", f"{valid}\n"]
    if FIELDS[field] is EMAIL:
        invalid += ["", "ann", "ann@", "@example.com", "ann@example", "ann@@example.com"]
        invalid += ["änn@example.com", "ann@exämple.com", "a b@example.com", "ann@e.c\u202e"]
        invalid += ["ann@example.com\r\nBcc: bob@example.com", '"a"@example.com', "ann@[127.0.0.1]"]
        invalid += ["ann@example.com'--", "ann@example.com;drop", "<ann@example.com>"]
        invalid += [f"{'a' * 250}@example.com"]
    else:
        invalid += [str(valid).swapcase(), "", "Pending,"]
    for text in (
        *invalid,
        *ALLOWED_TEXT.values(),
        *FORBIDDEN_TEXT.values(),
        *CONTROL_CHARACTERS.values(),
        *INVISIBLE,
    ):
        assert_rejected(await field_client.send_value(field, json.dumps(text)), 422, at=at)
    assert field_client.row_counts() == before


@pytest.mark.parametrize("field", fields_in("body", TITLE, DESCRIPTION, NAME))
async def test_forbidden_texts_are_rejected(field_client: FieldClient, field: Field) -> None:
    before, at = field_client.row_counts(), (field.name, f"/{field.name}")
    kind = FIELDS[field]
    length = kind.max_length
    for text in (
        *FORBIDDEN_TEXT.values(),
        *(() if kind is DESCRIPTION else CONTROL_CHARACTERS.values()),
        *(INVISIBLE if kind is TITLE else ()),
        f"{CANARY}{'x' * (length - len(CANARY) + 1)}",
        "😀" * (length + 1),
        # Short as sent, but too long in NFC.
        "\u0958" * (length // 2 + 1),
        "e" + "\u0334" * length,
        "x" * 60_000,
    ):
        assert_rejected(await field_client.send_value(field, json.dumps(text)), 422, at=at)
    assert field_client.row_counts() == before


@pytest.mark.parametrize("field", fields_in("body", TITLE, DESCRIPTION, NAME))
async def test_harmless_texts_are_stored(field_client: FieldClient, field: Field) -> None:
    """They are returned unchanged, except that they are normalized to NFC."""
    kind = FIELDS[field]
    length = kind.max_length
    for text in (
        *ALLOWED_TEXT.values(),
        "e\u0301\u212b\u0958",
        f"  {CANARY}  ",
        "x" * length,
        "😀" * length,
        "\u0958" * (length // 2),
        # Long as sent, but short enough in NFC.
        "e\u0301" * length,
        "e" + "\u0334" * (length - 1),
        f"{'x' * length}\u2003",
        *(CONTROL_CHARACTERS.values() if kind is DESCRIPTION else ()),
        *(() if kind is TITLE else ("", " ")),
    ):
        assert await stored_text(field_client, field, text) == normalized(text)
        assert unicodedata.is_normalized("NFC", normalized(text))


async def test_a_thousand_combining_marks(field_client: FieldClient) -> None:
    """They do not compose: the text is too long, for a description by one character."""
    marks = "e" + "\u0334" * 1_000
    for field in FIELDS:
        if FIELDS[field] in (TITLE, DESCRIPTION, NAME):
            response = await field_client.send_value(field, json.dumps(marks))
            assert_rejected(response, 422, at=(field.name, f"/{field.name}"))


@pytest.mark.parametrize("field", fields_in("body", LOGIN_PASSWORD, NEW_PASSWORD))
async def test_passwords_may_contain_anything(field_client: FieldClient, field: Field) -> None:
    """They are hashed, never stored: only the length counts. Like Better Auth, we accept even lone
    surrogates."""
    at = (field.name, f"/{field.name}")
    for text in (f"{CANARY}{'x' * 119}", "😀" * 65, "x" * 60_000):
        assert_rejected(await field_client.send_value(field, json.dumps(text)), 422, at=at)
    if FIELDS[field] is NEW_PASSWORD:
        assert_rejected(await field_client.send_value(field, '"short77"'), 422, at=at)
    for text in (
        *ALLOWED_TEXT.values(),
        *FORBIDDEN_TEXT.values(),
        *CONTROL_CHARACTERS.values(),
        "\ud800",
        "😀" * 64,
    ):
        padded = text.ljust(8, "x")
        login = {"email": f"{uuid.uuid4().hex}@example.com", "password": padded}
        if FIELDS[field] is NEW_PASSWORD:
            response = await field_client.send(("POST", SIGN_UP), json.dumps(login))
            assert response.status_code == 201, text
            assert padded not in response.text
            assert (await field_client.send(("POST", LOG_IN), json.dumps(login))).status_code == 200
        else:
            response = await field_client.send(("POST", LOG_IN), json.dumps(login))
            assert problem_of(response)["error_code"] == "INVALID_CREDENTIALS"
            assert CANARY not in response.text
