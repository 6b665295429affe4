"""Signed values: those that Better Auth makes are read, and no other."""

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


def test_a_value_is_signed_as_better_auth_signs_it(signatures: Signatures) -> None:
    assert signatures.sign(TOKEN) == COOKIE
    temporary = VECTORS["temporary_session"]
    assert unquote(signatures.sign(temporary["token"])) == temporary["set_auth_token"]
    mark = temporary["set_cookie"][1].partition("=")[2].partition(";")[0]
    assert signatures.sign("true") == mark


@pytest.mark.parametrize("shown", [COOKIE, SIGNED], ids=["the cookie", "set-auth-token"])
def test_what_better_auth_signed_is_read_encoded_or_not(signatures: Signatures, shown: str) -> None:
    assert signatures.read(shown) == TOKEN


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
def test_nothing_else_is_read(signatures: Signatures, forged: str) -> None:
    """Forged, cut, in base64 for URLs or without padding, encoded twice, in quotes or spaces."""
    assert signatures.read(forged) is None


def test_an_empty_value_is_none_whoever_signed_it(signatures: Signatures) -> None:
    assert signatures.read(signatures.sign("")) is None


def test_another_secret_signs_for_nobody(signatures: Signatures) -> None:
    assert Signatures(VECTORS["secret"] + "x").read(COOKIE) is None
    assert Signatures("").read(COOKIE) is None


def test_the_last_bits_of_a_signature_count() -> None:
    """Base64 of 32 bytes has two bits to spare: decoders that ignore them take four signatures."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    signatures = Signatures("secret")
    value, _, signature = unquote(signatures.sign("ann")).rpartition(".")
    last = alphabet.index(signature[-2])
    for spare in range(1, 4):
        other = f"{signature[:-2]}{alphabet[last + spare]}="
        assert base64.b64decode(other) == base64.b64decode(signature)
        assert signatures.read(f"{value}.{other}") is None


def test_a_plus_stays_a_plus(signatures: Signatures) -> None:
    """Where nothing is percent-encoded it is part of the base64, and no space."""
    value = next(v for v in map(str, range(100)) if "+" in signature_of(signatures, v))
    signed = f"{value}.{signature_of(signatures, value)}"
    assert signatures.read(signed) == value
    assert signatures.read(signed.replace("+", " ")) is None
    assert signatures.read(signatures.sign("a+b c")) == "a+b c"


def test_the_last_dot_parts_value_and_signature(signatures: Signatures) -> None:
    assert signatures.read(signatures.sign("a.b..c")) == "a.b..c"
    assert signatures.read(f"a.{signatures.sign('b')}") is None


def test_the_secret_is_text_and_not_base64() -> None:
    """The key of the HMAC is the secret in UTF-8, as it stands in the setting."""
    assert Signatures("ü" * 32).read(Signatures("ü" * 32).sign("x")) == "x"
    assert "secret" not in repr(Signatures("secret"))


@given(value=st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_is_signed_can_be_read(value: str) -> None:
    """And it is encoded as JavaScript's `encodeURIComponent` does, so it fits into a cookie."""
    signatures = Signatures("secret")
    signed = signatures.sign(value)
    assert signatures.read(signed) == value
    assert signed.isascii()
    assert not set(signed) & set(' ";,\\=+/\t\r\n')


@given(text=st.text(st.characters(max_codepoint=255)))
def test_whatever_a_header_holds_is_no_signature(text: str) -> None:
    assert Signatures("secret").read(text) is None
