"""Tokens of Better Auth's `jwt` plugin: which are accepted, and with which keys."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.jwts import JwtPluginTokens
from application.ports.credentials import Claims, CredentialKind, UserProof
from application.ports.keys import StoredKey
from domain.errors import Unauthenticated, Unavailable
from tests.better_auth.provider import Provider, key_set, response
from tests.better_auth.signer import ALGORITHMS, Signer, claims_of, encoded, signed, signer

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text())
ORIGIN = "https://app.example.com"
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
# A key in the shared table, and one that is only published over HTTP.
STORED, REMOTE = signer("stored"), signer("remote")
MINUTE = timedelta(minutes=1)


@dataclass
class Keys:
    """A fake `KeyStore` that records its look-ups."""

    rows: dict[str, StoredKey] = field(default_factory=dict)
    lookups: list[str] = field(default_factory=list)
    is_unavailable: bool = False

    def add(
        self, signer: Signer, *, algorithm: str | None = None, expires_at: datetime | None = None
    ) -> None:
        self.rows[signer.kid] = StoredKey(signer.kid, signer.row(), algorithm, expires_at)

    async def find(self, key_id: str) -> StoredKey | None:
        self.lookups.append(key_id)
        if self.is_unavailable:
            raise Unavailable
        return self.rows.get(key_id)


@pytest.fixture
def keys() -> Keys:
    keys = Keys()
    keys.add(STORED)
    return keys


@pytest.fixture
def tokens(keys: Keys, remote: RemoteKeys, provider: Provider) -> JwtPluginTokens:
    provider.publish(REMOTE)
    return JwtPluginTokens(ORIGIN, keys, remote)


def claims(**changes: Any) -> dict[str, Any]:
    """Valid claims with changes; members that are `...` are left out."""
    changed = {
        "iat": AT,
        "name": "Ann",
        "email": "Ann@example.com",
        "emailVerified": True,
        "image": None,
        "createdAt": "2026-11-20T16:31:35.303Z",
        "updatedAt": "2026-11-20T16:31:35.303Z",
        "id": "ann",
        "sub": "ann",
        "exp": AT + 900,
        "iss": ORIGIN,
        "aud": ORIGIN,
        **changes,
    }
    return {name: value for name, value in changed.items() if value is not ...}


async def proof(tokens: JwtPluginTokens, token: str, now: datetime = NOW) -> UserProof:
    return (await tokens.verify(token, now))[0]


async def test_real_token_with_its_published_key(remote: RemoteKeys, provider: Provider) -> None:
    vector = VECTORS["jwt"]
    provider.response = response(json.dumps(vector["jwks"]).encode())
    now = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    tokens = JwtPluginTokens(vector["issuer"], Keys(), remote)
    user = VECTORS["user"]
    assert await proof(tokens, vector["token"], now) == UserProof(
        kind=CredentialKind.JWT,
        user_id=user["id"],
        issued_at=datetime.fromtimestamp(claims_of(vector["token"])["iat"], UTC),
        claims=Claims(
            email=user["email"],
            name=user["name"],
            image=None,
            email_verified=False,
            updated_at=datetime.fromisoformat(user["updatedAt"]),
        ),
    )


async def test_real_token_with_its_stored_key(remote: RemoteKeys, provider: Provider) -> None:
    vector = VECTORS["jwt"]
    (jwk,) = vector["jwks"]["keys"]
    row = json.dumps({name: jwk[name] for name in ("crv", "x", "kty")})
    now = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    keys = Keys({jwk["kid"]: StoredKey(jwk["kid"], row, "EdDSA", None)})
    found = await proof(JwtPluginTokens(vector["issuer"], keys, remote), vector["token"], now)
    assert found.user_id == VECTORS["user"]["id"]
    assert found.claims is None
    assert provider.hits == 0


async def test_real_session_cache_is_rejected(remote: RemoteKeys, provider: Provider) -> None:
    vector = VECTORS["session_cache"]
    provider.response = response(json.dumps(VECTORS["jwt"]["jwks"]).encode())
    now = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    with pytest.raises(Unauthenticated):
        await proof(JwtPluginTokens(vector["issuer"], Keys(), remote), vector["token"], now)
    assert provider.hits == 0


async def test_token_with_a_stored_key_does_not_introduce_its_user(
    tokens: JwtPluginTokens, provider: Provider
) -> None:
    assert await proof(tokens, STORED.token(claims())) == UserProof(
        kind=CredentialKind.JWT, user_id="ann", issued_at=NOW, claims=None
    )
    assert provider.hits == 0


@pytest.mark.parametrize("verified", [True, False, None])
async def test_token_with_a_published_key_introduces_its_user(
    tokens: JwtPluginTokens, keys: Keys, verified: bool | None
) -> None:
    found = await proof(tokens, REMOTE.token(claims(emailVerified=verified)))
    assert found.claims == Claims(
        email="ann@example.com",
        name="Ann",
        image=None,
        email_verified=verified,
        updated_at=datetime(2026, 11, 20, 16, 31, 35, 303_000, UTC),
    )
    assert keys.lookups == ["remote"]


async def test_token_without_an_email_introduces_no_user(tokens: JwtPluginTokens) -> None:
    found = await proof(tokens, REMOTE.token(claims(email=...)))
    assert (found.user_id, found.claims) == ("ann", None)


async def test_stored_key_takes_precedence(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    impostor = Signer("stored")
    provider.publish(impostor)
    with pytest.raises(Unauthenticated):
        await proof(tokens, impostor.token(claims()))
    assert provider.hits == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
async def test_all_algorithms_of_the_plugin_are_accepted(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, algorithm: str, declared: bool
) -> None:
    stored, other = signer("mine", algorithm), signer("other", algorithm)
    keys.add(stored, algorithm=algorithm if declared else None)
    provider.response = key_set([other.jwk() if declared else other.jwk(alg=None)])
    for each in (stored, other):
        assert (await proof(tokens, each.token(claims()))).user_id == "ann"


VALID: dict[str, str] = {
    "an audience among others": STORED.token(claims(aud=["other", ORIGIN])),
    "typ": STORED.token(claims(), typ="JWT"),
    "typ in small letters": STORED.token(claims(), typ="jwt"),
    "just expired": STORED.token(claims(exp=AT - 29)),
    "issued by a fast clock": STORED.token(claims(iat=AT + 29)),
    "no iat": STORED.token(claims(iat=...)),
    "a long lifetime": STORED.token(claims(exp=AT + 10 * 365 * 86_400)),
}


@pytest.mark.parametrize("token", VALID)
async def test_valid_token_is_accepted(tokens: JwtPluginTokens, token: str) -> None:
    assert (await proof(tokens, VALID[token])).user_id == "ann"


def mac(key: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.new(key, text, hashlib.sha256).digest()


def as_hmac(key: bytes) -> str:
    """A token that uses a public key as the secret of an HMAC."""
    return signed({"alg": "HS256", "kid": "stored"}, claims(), mac(key))


def with_signature_of(token: str, other: str) -> str:
    return f"{token.rpartition('.')[0]}.{other.rpartition('.')[2]}"


PEM = STORED.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = STORED.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RAW = STORED.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
HUGE = encoded(b'{"alg":"EdDSA","kid":"stored","n":' + b"[" * 2_000)

#: Tokens that are invalid with any key.
JUNK: dict[str, str] = {
    "HS256 by the key as PEM": as_hmac(PEM),
    "HS256 by the key as DER": as_hmac(DER),
    "HS256 by the key as a row": as_hmac(STORED.row().encode()),
    "HS256 by the key as a JWK": as_hmac(json.dumps(STORED.jwk()).encode()),
    "HS256 by the bytes of the key": as_hmac(RAW),
    "HS256 by the text of the key": as_hmac(STORED.jwk()["x"].encode()),
    "HS256 by nothing": as_hmac(b""),
    "no algorithm": signed({"alg": "none", "kid": "stored"}, claims(), lambda _: b""),
    "no algorithm, in capitals": STORED.token(claims(), alg="NONE"),
    "no algorithm but a signature": STORED.token(claims(), alg="none"),
    "an algorithm left out": STORED.token(claims(), alg=None),
    "a list of algorithms": STORED.token(claims(), alg=["EdDSA"]),
    "another curve's algorithm": STORED.token(claims(), alg="ES384"),
    "another issuer": STORED.token(claims(iss="https://evil.example.com")),
    "an issuer with a path": STORED.token(claims(iss=ORIGIN + "/")),
    "an issuer among others": STORED.token(claims(iss=[ORIGIN])),
    "no issuer": STORED.token(claims(iss=...)),
    "another audience": STORED.token(claims(aud="better-auth:session-cache")),
    "an audience not among others": STORED.token(claims(aud=["other", [ORIGIN]])),
    "an audience in an object": STORED.token(claims(aud={ORIGIN: ORIGIN})),
    "issued to a third party": STORED.token(claims(azp="their-app")),
    "issued to a client": STORED.token(claims(client_id="their-app")),
    "no audience": STORED.token(claims(aud=...)),
    "expired": STORED.token(claims(exp=AT - 31)),
    "expired just now": STORED.token(claims(exp=AT - 30)),
    "no exp": STORED.token(claims(exp=...)),
    "exp null": STORED.token(claims(exp=None)),
    "an exp that is no number": STORED.token(claims(exp=str(AT + 900))),
    "an exp that is true": STORED.token(claims(exp=True)),
    "an exp after the year 9999": STORED.token(claims(exp=10**300)),
    "an exp that is infinite": STORED.token(claims(exp=float("inf"))),
    "issued in the future": STORED.token(claims(iat=AT + 31)),
    "an iat that is true": STORED.token(claims(iat=True)),
    "an iat that is no number": STORED.token(claims(iat="now")),
    "not yet valid": STORED.token(claims(nbf=AT + 31)),
    "no sub": STORED.token(claims(sub=...)),
    "an empty sub": STORED.token(claims(sub="")),
    "a sub that is no text": STORED.token(claims(sub=7)),
    "a sub with a line break": STORED.token(claims(sub="ann\nbob")),
    "a long sub": STORED.token(claims(sub="a" * 256)),
    "no kid": STORED.token(claims(), kid=None),
    "an empty kid": STORED.token(claims(), kid=""),
    "a kid that is no text": STORED.token(claims(), kid=7),
    "a kid in a list": STORED.token(claims(), kid=["stored"]),
    "a long kid": STORED.token(claims(), kid="a" * 65),
    "a kid with a path": STORED.token(claims(), kid="../stored"),
    "a kid with NUL": STORED.token(claims(), kid="stored\0"),
    "a kid with a line break": STORED.token(claims(), kid="stored\n"),
    "a session cache": STORED.token(claims(), typ="better-auth.session-cache+jwt"),
    "an access token": STORED.token(claims(), typ="at+jwt"),
    "an access token in capitals": STORED.token(claims(), typ="AT+JWT"),
    "a typ that is no text": STORED.token(claims(), typ=["JWT"]),
    "critical headers": STORED.token(claims(), crit=["exp"]),
    "a critical header that PyJWT knows": STORED.token(claims(), crit=["b64"], b64=True),
    "a detached payload": STORED.token(claims(), crit=["b64"], b64=False),
    "claims in a list": STORED.token([claims()]),  # type: ignore[arg-type]
    "claims that are a text": STORED.token("claims"),  # type: ignore[arg-type]
    "two parts": STORED.token(claims()).rpartition(".")[0],
    "four parts": STORED.token(claims()) + ".e30",
    "five parts": "e30.e30.e30.e30.e30",
    "no base64": "a.b.c",
    "a header too deep": f"{HUGE}.{encoded(b'{}')}.{encoded(b's' * 64)}",
    "a surrogate": "\ud800.\ud800.\ud800",
    "empty parts": "..",
}


@pytest.mark.parametrize("junk", JUNK)
async def test_junk_is_rejected_without_a_key_look_up(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, junk: str
) -> None:
    with pytest.raises(Unauthenticated):
        await proof(tokens, JUNK[junk])
    assert keys.lookups == []
    assert provider.hits == 0


def forgeries(real: Signer) -> dict[str, str]:
    """Well-formed tokens of the right length and alphabet: only the key reveals them."""
    good = real.token(claims())
    thief = Signer(real.kid)
    header, payload, signature = good.split(".")
    flipped = signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    jwk = {"jwk": thief.jwk(), "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x"}
    elsewhere = signer("elsewhere", "ES256")
    return {
        "another user": with_signature_of(real.token(claims(sub="bob")), good),
        "a later exp": with_signature_of(real.token(claims(exp=AT + 999_999)), good),
        "another header": with_signature_of(real.token(claims(), typ="JWT"), good),
        "another signature": f"{header}.{payload}.{flipped}",
        "no signature": f"{header}.{payload}.",
        "half a signature": f"{header}.{payload}.{signature[:43]}",
        "a signature of zeros": f"{header}.{payload}.{encoded(bytes(64))}",
        "another key of the same kind": thief.token(claims()),
        "another key in the header": thief.token(claims(), **jwk),
        "another key that is known": with_signature_of(good, STORED.token(claims(sub="x"))),
        "another algorithm in the header": real.token(claims(), alg="ES256"),
        "RSA in the header": real.token(claims(), alg="RS256"),
        "ES256 by a key of its own": elsewhere.token(claims(), kid=real.kid),
    }


@pytest.mark.parametrize("real", [STORED, REMOTE], ids=["stored", "remote"])
@pytest.mark.parametrize("forgery", forgeries(STORED))
async def test_forged_token_is_rejected(
    tokens: JwtPluginTokens, real: Signer, forgery: str
) -> None:
    assert await proof(tokens, real.token(claims()))
    with pytest.raises(Unauthenticated):
        await proof(tokens, forgeries(real)[forgery])


async def test_key_is_used_with_its_declared_algorithm_only(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    """The signature is valid, by the same RSA key, but with another algorithm."""
    stored, other = signer("mine", "RS256"), signer("other", "RS256")
    keys.add(stored, algorithm="RS256")
    provider.publish(other)
    for each in (stored, other):
        assert await proof(tokens, each.token(claims()))
        with pytest.raises(Unauthenticated):
            await proof(tokens, Signer(each.kid, "PS256", each.private).token(claims()))


async def test_urls_in_the_token_are_not_fetched(
    tokens: JwtPluginTokens, provider: Provider
) -> None:
    elsewhere = Provider()
    await elsewhere.start()
    thief = Signer("thief")
    elsewhere.publish(thief)
    for name in ("jku", "x5u", "iss"):
        with pytest.raises(Unauthenticated):
            await proof(tokens, thief.token(claims(), **{name: elsewhere.url}))
    assert elsewhere.hits == 0
    await elsewhere.stop()


async def test_unknown_kid_is_rejected(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    unknown = Signer("A-_0" * 16)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await proof(tokens, unknown.token(claims()))
    assert provider.hits == 1
    assert set(keys.lookups) == {unknown.kid}


async def test_expired_key_verifies_for_thirty_more_days(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    keys.add(STORED, expires_at=NOW - timedelta(days=30) + MINUTE)
    assert await proof(tokens, STORED.token(claims()))
    keys.add(STORED, expires_at=NOW - timedelta(days=30))
    with pytest.raises(Unauthenticated):
        await proof(tokens, STORED.token(claims()))
    # It counts as missing, and is fetched.
    assert provider.hits == 1


async def test_key_may_expire_at_the_latest_possible_time(
    tokens: JwtPluginTokens, keys: Keys
) -> None:
    keys.add(STORED, expires_at=datetime.max.replace(tzinfo=UTC))
    assert await proof(tokens, STORED.token(claims()))


@pytest.mark.parametrize("text", ["", "null", json.dumps(STORED.jwk(d="AAAA"))])
async def test_malformed_stored_key_is_not_fetched_instead(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, text: str
) -> None:
    keys.rows["remote"] = StoredKey("remote", text, None, None)
    with pytest.raises(Unauthenticated):
        await proof(tokens, REMOTE.token(claims()))
    assert provider.hits == 0


async def test_outage_is_unavailable_not_unauthenticated(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    await provider.stop()
    with pytest.raises(Unavailable):
        await proof(tokens, REMOTE.token(claims()))
    assert await proof(tokens, STORED.token(claims()))
    keys.is_unavailable = True
    with pytest.raises(Unavailable):
        await proof(tokens, STORED.token(claims()))


@pytest.mark.parametrize(("left", "cached"), [(900, 60), (31, 60), (30, 60), (29, 59), (-29, 1)])
async def test_proof_is_cached_for_a_minute_at_most(
    tokens: JwtPluginTokens, left: int, cached: int
) -> None:
    """So that the removal of a key takes effect; and never longer than the token is valid."""
    for each in (STORED, REMOTE):
        _, until = await tokens.verify(each.token(claims(exp=AT + left)), NOW)
        assert until == AT + cached


@pytest.mark.parametrize(
    ("changes", "is_accepted"),
    [
        ({}, True),
        ({"exp": AT + 901}, False),
        ({"iat": AT - 1}, False),
        ({"iat": AT - 60, "exp": AT + 840}, True),
        ({"iat": ...}, False),
        ({"iat": AT + 20, "exp": AT + 920}, True),
    ],
)
async def test_longest_lifetime(
    tokens: JwtPluginTokens, changes: dict[str, Any], is_accepted: bool
) -> None:
    limited = replace(tokens, max_lifetime=timedelta(seconds=900))
    token = STORED.token(claims(**changes))
    await tokens.verify(token, NOW)
    if is_accepted:
        await limited.verify(token, NOW)
    else:
        with pytest.raises(Unauthenticated):
            await limited.verify(token, NOW)
