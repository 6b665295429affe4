"""Which JSON Web Keys are usable, and for which algorithms."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given
from hypothesis import strategies as st

from adapters.better_auth.keys import public_key, stored_key
from application.ports.keys import StoredKey
from tests.better_auth.signer import ALGORITHMS, Signer, encoded, signer


def algorithms(jwk: object, algorithm: str | None = None) -> set[str] | None:
    key = public_key(jwk, algorithm)
    return None if key is None else set(key.algorithms)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_public_key_verifies_signatures_of_its_private_key(algorithm: str) -> None:
    key = public_key(signer("k", algorithm).jwk())
    assert key is not None
    assert key.algorithms == {algorithm}
    token = signer("k", algorithm).token({"sub": "ann"})
    assert jwt.decode(token, key.key, algorithms=[algorithm]) == {"sub": "ann"}


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "ES512"])
def test_curve_determines_the_algorithm(algorithm: str) -> None:
    assert algorithms(signer("k", algorithm).jwk(alg=None)) == {algorithm}


def test_rsa_key_without_alg_fits_two_algorithms() -> None:
    bare = signer("k", "RS256").jwk(alg=None)
    assert algorithms(bare) == {"RS256", "PS256"}
    assert algorithms(bare | {"alg": "PS256"}) == {"PS256"}
    assert algorithms(bare, "RS256") == {"RS256"}
    # Better Auth may add the curve of its default key to a key that has none.
    assert algorithms(bare | {"crv": "Ed25519"}) == {"RS256", "PS256"}


@pytest.mark.parametrize(
    ("algorithm", "declared", "known"),
    [
        ("EdDSA", "ES256", None),
        ("EdDSA", None, "HS256"),
        ("EdDSA", "none", None),
        ("EdDSA", "", None),
        ("EdDSA", ["EdDSA"], None),
        ("ES256", "ES512", None),
        ("ES512", None, "ES256"),
        ("RS256", "HS256", None),
        ("RS256", "RS512", None),
        ("RS256", "RSA-OAEP-256", None),
        ("RS256", "RS256", "PS256"),
    ],
)
def test_key_for_another_algorithm_is_not_usable(
    algorithm: str, declared: Any, known: str | None
) -> None:
    jwk = signer("k", algorithm).jwk()
    assert public_key(jwk) is not None
    assert public_key(jwk | {"alg": declared}, known) is None


def test_key_for_another_use_is_not_usable() -> None:
    assert public_key(signer("k").jwk(use="sig")) is not None
    for use in ("enc", "", ["sig"], True):
        assert public_key(signer("k").jwk(use=use)) is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_private_key_is_not_usable(algorithm: str) -> None:
    private = signer("k", algorithm).private
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(private, as_dict=True)
    assert public_key(jwk) is None


def test_symmetric_key_is_not_usable() -> None:
    for alg in (None, "HS256", "EdDSA", "RS256"):
        assert public_key({"kty": "oct", "k": encoded(b"k" * 32), "alg": alg}) is None


def test_short_rsa_key_is_not_usable() -> None:
    short = Signer("k", "RS256", rsa.generate_private_key(65_537, 1_024))
    assert public_key(short.jwk()) is None
    assert public_key(short.jwk(alg=None)) is None


def test_other_curves_are_not_usable() -> None:
    others = {
        "ES384": ec.generate_private_key(ec.SECP384R1()),
        "ES256K": ec.generate_private_key(ec.SECP256K1()),
        "EdDSA": ed448.Ed448PrivateKey.generate(),
    }
    for algorithm, private in others.items():
        jwk = Signer("k", algorithm, private).jwk()
        assert public_key(jwk) is None, algorithm
        assert public_key(jwk | {"alg": None}) is None, algorithm


@pytest.mark.parametrize(
    "jwk",
    [
        None,
        "text",
        ["kty", "OKP"],
        {},
        {"kty": "OKP"},
        {"kty": "OKP", "crv": "Ed25519"},
        {"kty": "OKP", "crv": "Ed25519", "x": None},
        {"kty": "OKP", "crv": "Ed25519", "x": 1},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed25519", "x": "\ud800"},
        {"kty": "OKP", "crv": "X25519", "x": "A" * 43},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43},
        {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43},
        {"kty": ["EC"], "crv": {"P-256": 1}, "x": "A" * 43, "y": "A" * 43},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": "", "e": ""},
        {"kty": "RSA", "n": "_" * 342, "e": "AA"},
        {"kty": "RSA", "n": 10**400, "e": 3},
    ],
)
def test_malformed_key_is_not_usable(jwk: object) -> None:
    assert public_key(jwk) is None


_TEXTS = st.text(max_size=60) | st.sampled_from(
    ["OKP", "EC", "RSA", "Ed25519", "P-256", "P-521", "EdDSA", "ES256", "A" * 43, "A" * 88, "AQAB"]
)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "kid"]),
        _TEXTS | st.none() | st.integers() | st.lists(st.none(), max_size=2),
    ),
    st.none() | _TEXTS,
)
def test_no_key_raises_an_error(jwk: dict[str, Any], algorithm: str | None) -> None:
    key = public_key(jwk, algorithm)
    assert key is None or key.algorithms <= {"EdDSA", "ES256", "ES512", "RS256", "PS256"}


def row(text: str, algorithm: str | None = None) -> StoredKey:
    return StoredKey(id="k", public_key=text, algorithm=algorithm, expires_at=None)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_stored_key_is_read(algorithm: str) -> None:
    key = stored_key(row(signer("k", algorithm).row(), algorithm))
    assert key is not None
    assert key.algorithms == {algorithm}


def test_stored_key_without_an_algorithm_takes_it_from_the_key() -> None:
    key = stored_key(row(signer("k").row()))
    assert key is not None
    assert key.algorithms == {"EdDSA"}


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "[" * 100_000, json.dumps("text")])
def test_malformed_stored_key_is_none(text: str) -> None:
    assert stored_key(row(text)) is None
