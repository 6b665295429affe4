"""Options of Better Auth's `jwt` plugin."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Unpack, get_args

import jwt
import pytest
from jwt.algorithms import OKPAlgorithm

from adapters.postgres.schema import migrate
from tests.better_auth.provider import Provider
from tests.better_auth.signer import Signer
from tests.interop.better_auth import VERSIONS_OF_OPTIONS, KeyAlgorithm, Settings, cookie_of, server
from tests.interop.sides import Sides, bearer, both_sides
from tests.interop.taskport import NO_KEYS, SECRET, Headers, Taskport, taskport
from tests.servers import PostgresServer

pytestmark = [pytest.mark.node, pytest.mark.postgres]

ALGORITHMS: Final = get_args(KeyAlgorithm)
KEYS: Final = "select count(*)::int n from jwks"
EXPIRE_KEYS: Final = """update jwks set "expiresAt" = now() - interval '1 minute'"""
#: Undoes the settings of the tests before.
DEFAULTS: Final[Settings] = {"base_path": "/api/auth", "jwt": "", "key_algorithm": "EdDSA"}


@pytest.fixture(scope="module", params=VERSIONS_OF_OPTIONS)
async def restartable(
    request: pytest.FixtureRequest, node_modules: None, postgres_18_server: PostgresServer
) -> AsyncIterator[Sides]:
    """Both sides; tests restart the Better Auth server with their options."""
    async with both_sides(postgres_18_server, request.param) as sides:
        yield sides


async def test_each_algorithm(restartable: Sides, email: str) -> None:
    """Keys of all algorithms are accepted, one beside the other."""
    tokens: list[Headers] = []
    cookie = cookie_of(restartable.better_auth.sign_up(email))
    for algorithm in ALGORITHMS:
        restart(restartable, key_algorithm=algorithm)
        tokens.append(restartable.jwt(cookie))
        assert header_of(tokens[-1])["alg"] == algorithm
        assert (await restartable.separate.me(tokens[-1])).json()["email"] == email

    published = restartable.better_auth.jwks().json()["keys"]
    for token in tokens:
        header = header_of(token)
        assert (await restartable.taskport.me(token)).json()["email"] == email, header
        # 1.6.30 publishes all its keys with the current algorithm.
        if (header["kid"], header["alg"]) in [(key["kid"], key["alg"]) for key in published]:
            assert (await restartable.separate.me(token)).json()["email"] == email, header


async def test_rotated_keys(restartable: Sides, email: str) -> None:
    restart(restartable, rotation_interval=3600)
    cookie = cookie_of(restartable.better_auth.sign_up(email))
    first = restartable.jwt(cookie)
    restartable.rows(EXPIRE_KEYS)
    second = restartable.jwt(cookie)

    assert header_of(first)["kid"] != header_of(second)["kid"]
    for token in (first, second):
        assert (await restartable.taskport.me(token)).json()["email"] == email


async def test_payload_and_expiry(restartable: Sides, email: str) -> None:
    """`definePayload`, `expirationTime`, `modulusLength`; and options without an effect here."""
    restart(restartable, jwt="payload")
    signed_up = restartable.better_auth.sign_up(email)
    token = restartable.jwt(cookie_of(signed_up))
    claims = claims_of(token)

    assert (claims["role"], claims["exp"] - claims["iat"]) == ("editor", 7200)
    assert "name" not in claims
    assert (await restartable.taskport.me(token)).json()["name"] == "Ada"
    created = (await restartable.separate.me(token)).json()
    assert (created["id"], created["email"]) == (signed_up.json()["user"]["id"], email)


async def test_keys_are_found_under_another_path(restartable: Sides, email: str) -> None:
    """`basePath` and `jwksPath`: `BETTER_AUTH_JWKS_URL` names the place."""
    restart(restartable, base_path="/auth", jwt="key_path")
    token = restartable.jwt(cookie_of(restartable.better_auth.sign_up(email)))
    url = f"{restartable.better_auth.url}/auth/keys.json"

    async with fetching(restartable, url) as fetcher:
        assert (await fetcher.me(token)).json()["email"] == email


async def test_keys_that_are_not_in_the_table(restartable: Sides, email: str) -> None:
    """`adapter`: keys are fetched."""
    restart(restartable, jwt="keys_in_memory")
    before = restartable.rows(KEYS)
    token = restartable.jwt(cookie_of(restartable.better_auth.sign_up(email)))

    assert restartable.rows(KEYS) == before
    async with fetching(restartable, f"{restartable.better_auth.url}/api/auth/jwks") as fetcher:
        assert (await fetcher.me(token)).json()["email"] == email


async def test_tokens_that_are_signed_elsewhere(restartable: Sides, email: str) -> None:
    """`jwt.sign`, with a key that `remoteUrl` publishes."""
    signer, provider = Signer("elsewhere"), Provider()
    await provider.start()
    provider.publish(signer)
    private = OKPAlgorithm.to_jwk(signer.private, as_dict=True)
    key = json.dumps({**private, "kid": signer.kid, "alg": signer.algorithm})
    restart(restartable, jwt="signed_elsewhere", jwks_url=provider.url, signing_key=key)
    try:
        token = restartable.jwt(cookie_of(restartable.better_auth.sign_up(email)))
        assert header_of(token)["kid"] == signer.kid
        async with fetching(restartable, provider.url) as fetcher:
            assert (await fetcher.me(token)).json()["email"] == email
    finally:
        await provider.stop()


@pytest.mark.parametrize("version", VERSIONS_OF_OPTIONS)
@pytest.mark.usefixtures("node_modules")
async def test_renamed_table_of_keys(
    postgres_18_server: PostgresServer, email: str, version: str
) -> None:
    """`schema`: the table is found, or named by `BETTER_AUTH_MODELS`."""
    models = {"jwks": {"modelName": "signing_keys", "fields": {"publicKey": "public_key"}}}
    with (
        postgres_18_server.database(template="template0") as url,
        server(url, secret=SECRET, version=version, jwt="renamed", migrate="run") as running,
    ):
        migrate(url)
        token = running.token(cookie_of(running.sign_up(email))).json()["token"]
        for options in ({}, {"better_auth_models": json.dumps(models)}):
            async with taskport(
                url, running.origin, better_auth_jwks_url=NO_KEYS, **options
            ) as reader:
                assert (await reader.me(bearer(token))).json()["email"] == email


def restart(sides: Sides, **settings: Unpack[Settings]) -> None:
    """Restart the server with these settings alone; it makes a new key."""
    sides.rows(EXPIRE_KEYS)
    merged: Settings = {**DEFAULTS, **settings}
    sides.better_auth.restart(**merged)


@asynccontextmanager
async def fetching(sides: Sides, keys_url: str, **settings: Any) -> AsyncIterator[Taskport]:
    """Another Taskport on the shared database, which gets keys from this URL."""
    async with taskport(
        sides.url, sides.better_auth.origin, better_auth_jwks_url=keys_url, **settings
    ) as started:
        yield started


def header_of(credential: Headers) -> dict[str, Any]:
    return jwt.get_unverified_header(credential["Authorization"].removeprefix("Bearer "))


def claims_of(credential: Headers) -> dict[str, Any]:
    token = credential["Authorization"].removeprefix("Bearer ")
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims
