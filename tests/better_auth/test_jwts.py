"""Tokens of Better Auth's `jwt` plugin: which are believed, and by whose key."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
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
OURS, THEIRS = signer("ours"), signer("theirs")
MINUTE = timedelta(minutes=1)


@dataclass
class Keys:
    """A `KeyStore` that counts how often it is asked."""

    rows: dict[str, StoredKey] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_away: bool = False

    def hold(
        self, signer: Signer, *, algorithm: str | None = None, expires_at: datetime | None = None
    ) -> None:
        self.rows[signer.kid] = StoredKey(signer.kid, signer.row(), algorithm, expires_at)

    async def find(self, key_id: str) -> StoredKey | None:
        self.asked.append(key_id)
        if self.is_away:
            raise Unavailable
        return self.rows.get(key_id)


@pytest.fixture
def keys() -> Keys:
    keys = Keys()
    keys.hold(OURS)
    return keys


@pytest.fixture
def tokens(keys: Keys, remote: RemoteKeys, provider: Provider) -> JwtPluginTokens:
    provider.show(THEIRS)
    return JwtPluginTokens(ORIGIN, keys, remote)


def claims(**changes: Any) -> dict[str, Any]:
    said = {
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
    return {name: value for name, value in said.items() if value is not ...}


async def proof(tokens: JwtPluginTokens, token: str, now: datetime = NOW) -> UserProof:
    return (await tokens.verify(token, now))[0]


async def test_a_real_token_by_a_real_key_over_http(remote: RemoteKeys, provider: Provider) -> None:
    vector = VECTORS["jwt"]
    provider.answer = response(json.dumps(vector["jwks"]).encode())
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


async def test_a_real_token_by_a_real_row(remote: RemoteKeys, provider: Provider) -> None:
    vector = VECTORS["jwt"]
    (jwk,) = vector["jwks"]["keys"]
    row = json.dumps({name: jwk[name] for name in ("crv", "x", "kty")})
    now = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    keys = Keys({jwk["kid"]: StoredKey(jwk["kid"], row, "EdDSA", None)})
    found = await proof(JwtPluginTokens(vector["issuer"], keys, remote), vector["token"], now)
    assert found.user_id == VECTORS["user"]["id"]
    assert found.claims is None
    assert provider.hits == 0


async def test_a_real_session_cache_is_no_credential(
    remote: RemoteKeys, provider: Provider
) -> None:
    vector = VECTORS["session_cache"]
    provider.answer = response(json.dumps(VECTORS["jwt"]["jwks"]).encode())
    now = datetime.fromtimestamp(VECTORS["frozen_now_ms"] / 1_000, UTC)
    with pytest.raises(Unauthenticated):
        await proof(JwtPluginTokens(vector["issuer"], Keys(), remote), vector["token"], now)
    assert provider.hits == 0


async def test_a_key_of_our_own_table_brings_no_user_along(
    tokens: JwtPluginTokens, provider: Provider
) -> None:
    assert await proof(tokens, OURS.token(claims())) == UserProof(
        kind=CredentialKind.JWT, user_id="ann", issued_at=NOW, claims=None
    )
    assert provider.hits == 0


@pytest.mark.parametrize("verified", [True, False, None])
async def test_a_key_over_http_brings_its_user_along(
    tokens: JwtPluginTokens, keys: Keys, verified: bool | None
) -> None:
    found = await proof(tokens, THEIRS.token(claims(emailVerified=verified)))
    assert found.claims == Claims(
        email="ann@example.com",
        name="Ann",
        image=None,
        email_verified=verified,
        updated_at=datetime(2026, 11, 20, 16, 31, 35, 303_000, UTC),
    )
    assert keys.asked == ["theirs"]


async def test_a_token_without_an_address_brings_nobody_along(tokens: JwtPluginTokens) -> None:
    found = await proof(tokens, THEIRS.token(claims(email=...)))
    assert (found.user_id, found.claims) == ("ann", None)


async def test_our_own_table_wins(tokens: JwtPluginTokens, keys: Keys, provider: Provider) -> None:
    impostor = Signer("ours")
    provider.show(impostor)
    with pytest.raises(Unauthenticated):
        await proof(tokens, impostor.token(claims()))
    assert provider.hits == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("declared", [True, False], ids=["declared", "undeclared"])
async def test_every_algorithm_of_the_plugin(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, algorithm: str, declared: bool
) -> None:
    mine, other = signer("mine", algorithm), signer("other", algorithm)
    keys.hold(mine, algorithm=algorithm if declared else None)
    provider.answer = key_set([other.jwk() if declared else other.jwk(alg=None)])
    for each in (mine, other):
        assert (await proof(tokens, each.token(claims()))).user_id == "ann"


BELIEVED: dict[str, str] = {
    "an audience among others": OURS.token(claims(aud=["other", ORIGIN])),
    "typ": OURS.token(claims(), typ="JWT"),
    "typ in small letters": OURS.token(claims(), typ="jwt"),
    "just expired": OURS.token(claims(exp=AT - 29)),
    "a clock that is fast": OURS.token(claims(iat=AT + 29)),
    "no iat": OURS.token(claims(iat=...)),
    "a long life": OURS.token(claims(exp=AT + 10 * 365 * 86_400)),
}


@pytest.mark.parametrize("token", BELIEVED)
async def test_tokens_that_are_believed(tokens: JwtPluginTokens, token: str) -> None:
    assert (await proof(tokens, BELIEVED[token])).user_id == "ann"


def mac(key: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.new(key, text, hashlib.sha256).digest()


def as_hmac(key: bytes) -> str:
    """The public key, which everybody knows, taken for a shared secret."""
    return signed({"alg": "HS256", "kid": "ours"}, claims(), mac(key))


def with_signature_of(token: str, other: str) -> str:
    return f"{token.rpartition('.')[0]}.{other.rpartition('.')[2]}"


PEM = OURS.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
DER = OURS.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
RAW = OURS.public.public_bytes(Encoding.Raw, PublicFormat.Raw)
HUGE = encoded(b'{"alg":"EdDSA","kid":"ours","n":' + b"[" * 2_000)

# What no key in the world could save.
JUNK: dict[str, str] = {
    "HS256 by the key as PEM": as_hmac(PEM),
    "HS256 by the key as DER": as_hmac(DER),
    "HS256 by the key as a row": as_hmac(OURS.row().encode()),
    "HS256 by the key as shown": as_hmac(json.dumps(OURS.jwk()).encode()),
    "HS256 by the bytes of the key": as_hmac(RAW),
    "HS256 by the text of the key": as_hmac(OURS.jwk()["x"].encode()),
    "HS256 by nothing": as_hmac(b""),
    "no algorithm": signed({"alg": "none", "kid": "ours"}, claims(), lambda _: b""),
    "no algorithm, in capitals": OURS.token(claims(), alg="NONE"),
    "no algorithm but a signature": OURS.token(claims(), alg="none"),
    "an algorithm left out": OURS.token(claims(), alg=None),
    "a list of algorithms": OURS.token(claims(), alg=["EdDSA"]),
    "another curve's algorithm": OURS.token(claims(), alg="ES384"),
    "another issuer": OURS.token(claims(iss="https://evil.example.com")),
    "an issuer with a path": OURS.token(claims(iss=ORIGIN + "/")),
    "an issuer among others": OURS.token(claims(iss=[ORIGIN])),
    "no issuer": OURS.token(claims(iss=...)),
    "another audience": OURS.token(claims(aud="better-auth:session-cache")),
    "an audience not among others": OURS.token(claims(aud=["other", [ORIGIN]])),
    "an audience in an object": OURS.token(claims(aud={ORIGIN: ORIGIN})),
    "issued to a third party": OURS.token(claims(azp="their-app")),
    "issued to a client": OURS.token(claims(client_id="their-app")),
    "no audience": OURS.token(claims(aud=...)),
    "expired": OURS.token(claims(exp=AT - 31)),
    "expired just now": OURS.token(claims(exp=AT - 30)),
    "no exp": OURS.token(claims(exp=...)),
    "exp null": OURS.token(claims(exp=None)),
    "an exp that is no number": OURS.token(claims(exp=str(AT + 900))),
    "an exp that is true": OURS.token(claims(exp=True)),
    "an exp beyond all time": OURS.token(claims(exp=10**300)),
    "an exp that is infinite": OURS.token(claims(exp=float("inf"))),
    "issued in the future": OURS.token(claims(iat=AT + 31)),
    "an iat that is true": OURS.token(claims(iat=True)),
    "an iat that is no number": OURS.token(claims(iat="now")),
    "not yet valid": OURS.token(claims(nbf=AT + 31)),
    "no sub": OURS.token(claims(sub=...)),
    "an empty sub": OURS.token(claims(sub="")),
    "a sub that is no text": OURS.token(claims(sub=7)),
    "a sub with a line break": OURS.token(claims(sub="ann\nbob")),
    "a long sub": OURS.token(claims(sub="a" * 256)),
    "no kid": OURS.token(claims(), kid=None),
    "an empty kid": OURS.token(claims(), kid=""),
    "a kid that is no text": OURS.token(claims(), kid=7),
    "a kid in a list": OURS.token(claims(), kid=["ours"]),
    "a long kid": OURS.token(claims(), kid="a" * 65),
    "a kid with a path": OURS.token(claims(), kid="../ours"),
    "a kid with NUL": OURS.token(claims(), kid="ours\0"),
    "a kid with a line break": OURS.token(claims(), kid="ours\n"),
    "a session cache": OURS.token(claims(), typ="better-auth.session-cache+jwt"),
    "an access token": OURS.token(claims(), typ="at+jwt"),
    "an access token in capitals": OURS.token(claims(), typ="AT+JWT"),
    "a typ that is no text": OURS.token(claims(), typ=["JWT"]),
    "critical headers": OURS.token(claims(), crit=["exp"]),
    "a critical header that PyJWT knows": OURS.token(claims(), crit=["b64"], b64=True),
    "a detached payload": OURS.token(claims(), crit=["b64"], b64=False),
    "claims in a list": OURS.token([claims()]),  # type: ignore[arg-type]
    "claims that are a text": OURS.token("claims"),  # type: ignore[arg-type]
    "two parts": OURS.token(claims()).rpartition(".")[0],
    "four parts": OURS.token(claims()) + ".e30",
    "five parts": "e30.e30.e30.e30.e30",
    "no base64": "a.b.c",
    "a header too deep": f"{HUGE}.{encoded(b'{}')}.{encoded(b's' * 64)}",
    "a surrogate": "\ud800.\ud800.\ud800",
    "nothing": "..",
}


@pytest.mark.parametrize("junk", JUNK)
async def test_junk_causes_no_look_up(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, junk: str
) -> None:
    with pytest.raises(Unauthenticated):
        await proof(tokens, JUNK[junk])
    assert keys.asked == []
    assert provider.hits == 0


def forgeries(real: Signer) -> dict[str, str]:
    """Well formed, of a length and an alphabet that are right; only the key can tell."""
    good = real.token(claims())
    thief = Signer(real.kid)
    header, payload, signature = good.split(".")
    flipped = signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    jwk = {"jwk": thief.jwk(), "jku": "http://127.0.0.1:1/jwks", "x5u": "http://127.0.0.1:1/x"}
    elsewhere = signer("elsewhere", "ES256")
    return {
        "somebody else in it": with_signature_of(real.token(claims(sub="bob")), good),
        "longer": with_signature_of(real.token(claims(exp=AT + 999_999)), good),
        "another header": with_signature_of(real.token(claims(), typ="JWT"), good),
        "another signature": f"{header}.{payload}.{flipped}",
        "no signature": f"{header}.{payload}.",
        "half a signature": f"{header}.{payload}.{signature[:43]}",
        "a signature of zeros": f"{header}.{payload}.{encoded(bytes(64))}",
        "another key of the same kind": thief.token(claims()),
        "another key that the token brings along": thief.token(claims(), **jwk),
        "another key that is known": with_signature_of(good, OURS.token(claims(sub="x"))),
        "another algorithm in the header": real.token(claims(), alg="ES256"),
        "RSA in the header": real.token(claims(), alg="RS256"),
        "ES256 by a key of its own": elsewhere.token(claims(), kid=real.kid),
    }


@pytest.mark.parametrize("real", [OURS, THEIRS], ids=["ours", "theirs"])
@pytest.mark.parametrize("forgery", forgeries(OURS))
async def test_forgeries_are_refused(tokens: JwtPluginTokens, real: Signer, forgery: str) -> None:
    assert await proof(tokens, real.token(claims()))
    with pytest.raises(Unauthenticated):
        await proof(tokens, forgeries(real)[forgery])


async def test_a_key_is_for_the_algorithm_that_it_was_made_for(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    """The signature is right, by the same RSA key; the algorithm is not the one declared."""
    mine, other = signer("mine", "RS256"), signer("other", "RS256")
    keys.hold(mine, algorithm="RS256")
    provider.show(other)
    for each in (mine, other):
        assert await proof(tokens, each.token(claims()))
        with pytest.raises(Unauthenticated):
            await proof(tokens, Signer(each.kid, "PS256", each.private).token(claims()))


async def test_where_the_token_points_nobody_looks(
    tokens: JwtPluginTokens, provider: Provider
) -> None:
    elsewhere = Provider()
    await elsewhere.start()
    thief = Signer("thief")
    elsewhere.show(thief)
    for name in ("jku", "x5u", "iss"):
        with pytest.raises(Unauthenticated):
            await proof(tokens, thief.token(claims(), **{name: elsewhere.url}))
    assert elsewhere.hits == 0
    await elsewhere.stop()


async def test_a_kid_that_nobody_knows(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    unknown = Signer("A-_0" * 16)
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await proof(tokens, unknown.token(claims()))
    assert provider.hits == 1
    assert set(keys.asked) == {unknown.kid}


async def test_a_key_that_signs_no_more_verifies_for_thirty_days(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    keys.hold(OURS, expires_at=NOW - timedelta(days=30) + MINUTE)
    assert await proof(tokens, OURS.token(claims()))
    keys.hold(OURS, expires_at=NOW - timedelta(days=30))
    with pytest.raises(Unauthenticated):
        await proof(tokens, OURS.token(claims()))
    # It is as if there were none: who shows it over HTTP may know better.
    assert provider.hits == 1


async def test_a_key_that_expires_at_the_end_of_time(tokens: JwtPluginTokens, keys: Keys) -> None:
    keys.hold(OURS, expires_at=datetime.max.replace(tzinfo=UTC))
    assert await proof(tokens, OURS.token(claims()))


@pytest.mark.parametrize("text", ["", "null", json.dumps(OURS.jwk(d="AAAA"))])
async def test_a_row_that_is_no_key_is_not_looked_for_elsewhere(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider, text: str
) -> None:
    keys.rows["theirs"] = StoredKey("theirs", text, None, None)
    with pytest.raises(Unauthenticated):
        await proof(tokens, THEIRS.token(claims()))
    assert provider.hits == 0


async def test_nobody_is_refused_because_something_is_away(
    tokens: JwtPluginTokens, keys: Keys, provider: Provider
) -> None:
    await provider.stop()
    with pytest.raises(Unavailable):
        await proof(tokens, THEIRS.token(claims()))
    assert await proof(tokens, OURS.token(claims()))
    keys.is_away = True
    with pytest.raises(Unavailable):
        await proof(tokens, OURS.token(claims()))


@pytest.mark.parametrize(("left", "believed"), [(900, 60), (31, 60), (30, 60), (29, 59), (-29, 1)])
async def test_it_is_believed_for_a_minute_at_most(
    tokens: JwtPluginTokens, left: int, believed: int
) -> None:
    """So that a key that was removed is of no use soon; and never longer than it lives."""
    for each in (OURS, THEIRS):
        _, until = await tokens.verify(each.token(claims(exp=AT + left)), NOW)
        assert until == AT + believed
