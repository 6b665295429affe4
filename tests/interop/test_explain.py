"""`taskport explain` on credentials of Better Auth, if a setting differs on the two sides."""

from collections.abc import Mapping
from typing import Any, Final

import pytest
from starlette.datastructures import Headers

from entrypoints.explain import explain
from entrypoints.settings import Settings
from tests.interop.sides import Sides
from tests.interop.taskport import NO_KEYS, SECRET

pytestmark = [pytest.mark.node, pytest.mark.postgres]

OTHER_SECRET: Final = "another-secret-of-the-tests-0123456789"
SECURE: Final = {"better_auth_use_secure_cookies": True}


async def explanation(sides: Sides, headers: Mapping[str, str], **changes: Any) -> str:
    settings = {
        "database_url": sides.url,
        "better_auth_secret": SECRET,
        "better_auth_url": sides.better_auth.origin,
        "better_auth_jwks_url": NO_KEYS,
        **changes,
    }
    return await explain(Settings(**settings), Headers(headers))


async def test_every_credential_is_explained(sides: Sides, email: str) -> None:
    signed_up = sides.better_auth.sign_up(email)
    for name, headers in (await sides.credentials(signed_up)).items():
        text = await explanation(sides, headers)
        assert text.splitlines()[-1] == f"user     {signed_up.json()['user']['id']}", name
        assert "wrong" not in text


@pytest.mark.parametrize(
    ("credential", "changes", "reason", "cure"),
    [
        (
            "cookie",
            {"better_auth_cookie_prefix": "my-app"},
            "cookie_name_unexpected",
            "Set BETTER_AUTH_COOKIE_PREFIX to better-auth.",
        ),
        ("cookie", SECURE, "cookie_name_unexpected", "BETTER_AUTH_USE_SECURE_COOKIES=false"),
        ("cookie", {"better_auth_secret": OTHER_SECRET}, "bad_signature", "BETTER_AUTH_SECRET"),
        ("signed bearer", {"better_auth_secret": OTHER_SECRET}, "bad_signature", "SECRET"),
        ("jwt", {"better_auth_url": "http://localhost:1"}, "wrong_issuer", "BETTER_AUTH_URL"),
        ("raw bearer", {"bearer_require_signature": True}, "signature_missing", "signature"),
        ("shared secret", {"shared_secret_tokens": False}, "shared_secret_off", "=true"),
    ],
)
async def test_setting_that_differs_is_named(
    sides: Sides, email: str, credential: str, changes: dict[str, Any], reason: str, cure: str
) -> None:
    credentials = await sides.credentials(sides.better_auth.sign_up(email))
    text = await explanation(sides, credentials[credential], **changes)
    assert f"\nreason   {reason}\n" in text
    assert cure in text.splitlines()[-1]


async def test_session_of_another_database_is_not_found(sides: Sides, email: str) -> None:
    credentials = await sides.credentials(sides.better_auth.sign_up(email))
    text = await explanation(sides, credentials["cookie"], database_url=sides.separate_url)
    assert "\nreason   no_such_session\n" in text
