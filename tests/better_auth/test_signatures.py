"""Signed values: those of Better Auth are read, and no others."""

import base64
import json
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.better_auth.signatures import Signatures

VECTORS = json.loads((Path(__file__).parent / "vectors_identity.json").read_text())
TOKEN, COOKIE = VECTORS["session"]["token"], VECTORS["session"]["cookie"]
SIGNED = VECTORS["session"]["set_auth_token"]
SIGNATURE = SIGNED.partition(".")[2]


@pytest.fixture
def signatures() -> Signatures:
    return Signatures(VECTORS["secret"])


def signature_of(signatures: Signatures, value: str) -> str:
    return unquote(signatures.sign(value)).rpartition(".")[2]


def test_values_are_signed_like_better_auths(signatures: Signatures) -> None:
    assert signatures.sign(TOKEN) == COOKIE
    temporary = VECTORS["temporary_session"]
    assert unquote(signatures.sign(temporary["token"])) == temporary["set_auth_token"]
    mark = temporary["set_cookie"][1].partition("=")[2].partition(";")[0]
    assert signatures.sign("true") == mark


@pytest.mark.parametrize("signed", [COOKIE, SIGNED], ids=["the cookie", "set-auth-token"])
def test_value_signed_by_better_auth_is_read(signatures: Signatures, signed: str) -> None:
    """Percent-encoded or not."""
    assert signatures.read(signed) == TOKEN


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        TOKEN,
        f"{TOKEN}.",
        f".{SIGNATURE}",
        SIGNATURE,
        f"{TOKEN[::-1]}.{SIGNATURE}",
        f"{TOKEN.lower()}.{SIGNATURE}",
        f"{TOKEN}x.{SIGNATURE}",
        f"{TOKEN}.{SIGNATURE[::-1]}",
        f"{TOKEN}.{SIGNATURE.swapcase()}",
        f"{TOKEN}.{'A' * 43}=",
        f"{TOKEN}.{'ü' * 43}=",
        f"{TOKEN}.{SIGNATURE[:-1]}",
        f"{TOKEN}.{SIGNATURE[:-1]}A",
        f"{TOKEN}.{SIGNATURE[1:]}",
        f"{TOKEN}.{SIGNATURE}=",
        f"{TOKEN}.{SIGNATURE}.{SIGNATURE}",
        f"{TOKEN}.{SIGNATURE}.",
        f"{TOKEN} .{SIGNATURE}",
        f" {SIGNED}",
        f"{SIGNED} ",
        f'"{SIGNED}"',
        f"{SIGNED}\0",
        SIGNED.replace(".", "%2525"),
        f"{TOKEN}.{SIGNATURE.replace('/', '_')}",
        f"{TOKEN}.{base64.b64decode(SIGNATURE).hex()}",
        quote(COOKIE, safe=""),
        "%",
        f"%FF.{SIGNATURE}",
    ],
)
def test_forged_value_is_not_read(signatures: Signatures, forged: str) -> None:
    """Nor a truncated one, URL-safe base64 or base64 without padding, or one encoded twice."""
    assert signatures.read(forged) is None


def test_empty_value_is_not_read(signatures: Signatures) -> None:
    assert signatures.read(signatures.sign("")) is None


def test_value_signed_with_another_secret_is_not_read(signatures: Signatures) -> None:
    assert Signatures(VECTORS["secret"] + "x").read(COOKIE) is None
    assert Signatures("").read(COOKIE) is None


def test_unused_bits_of_a_signature_are_compared() -> None:
    """Base64 of 32 bytes has two unused bits: decoders that ignore them accept four signatures."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    signatures = Signatures("secret")
    value, _, signature = unquote(signatures.sign("ann")).rpartition(".")
    last = alphabet.index(signature[-2])
    for spare in range(1, 4):
        other = f"{signature[:-2]}{alphabet[last + spare]}="
        assert base64.b64decode(other) == base64.b64decode(signature)
        assert signatures.read(f"{value}.{other}") is None


def test_plus_is_not_decoded_to_a_space(signatures: Signatures) -> None:
    """In a value that is not percent-encoded it is part of the base64."""
    value = next(v for v in map(str, range(100)) if "+" in signature_of(signatures, v))
    signed = f"{value}.{signature_of(signatures, value)}"
    assert signatures.read(signed) == value
    assert signatures.read(signed.replace("+", " ")) is None
    assert signatures.read(signatures.sign("a+b c")) == "a+b c"


def test_last_dot_separates_value_and_signature(signatures: Signatures) -> None:
    assert signatures.read(signatures.sign("a.b..c")) == "a.b..c"
    assert signatures.read(f"a.{signatures.sign('b')}") is None


def test_secret_is_used_as_text() -> None:
    """The key of the HMAC is the secret in UTF-8; it is not decoded from base64."""
    assert Signatures("ü" * 32).read(Signatures("ü" * 32).sign("x")) == "x"
    assert "secret" not in repr(Signatures("secret"))


@given(value=st.text(st.characters(codec="utf-8"), min_size=1))
def test_signed_values_are_read(value: str) -> None:
    """They are encoded like JavaScript's `encodeURIComponent`, so they fit into a cookie."""
    signatures = Signatures("secret")
    signed = signatures.sign(value)
    assert signatures.read(signed) == value
    assert signed.isascii()
    assert not set(signed) & set(' ";,\\=+/\t\r\n')


@given(text=st.text(st.characters(max_codepoint=255)))
def test_random_header_values_are_not_read(text: str) -> None:
    assert Signatures("secret").read(text) is None
