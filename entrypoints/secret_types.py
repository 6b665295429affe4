"""The secrets that are shared with Better Auth: how they are parsed, and what is rejected.

No error message quotes a secret.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

SECRET_MIN_LENGTH: Final = 32
#: The secret of a Better Auth server in development that has none of its own.
_BETTER_AUTH_DEFAULT_SECRET: Final = "better-auth-secret-12345678901234567890"  # noqa: S105
_ENTRY: Final = re.compile(r"\s*0*(\d{1,15})\s*:\s*(\S.*?)\s*", re.ASCII | re.DOTALL)
_FINGERPRINT_LENGTH: Final = 8


def fingerprint(secret: str) -> str:
    """A short digest of a secret, to compare it with that of another server.

    The same as the first 8 characters of `printf %s "$BETTER_AUTH_SECRET" | sha256sum`.
    """
    return hashlib.sha256(secret.encode()).hexdigest()[:_FINGERPRINT_LENGTH]


def described(secrets: Sequence[str]) -> str:
    """A line about the current secret, which is the first one, for the operator."""
    return f"fingerprint {fingerprint(secrets[0])}" if secrets else "none: Better Auth alone has it"


def _checked(secret: SecretStr) -> SecretStr:
    value = secret.get_secret_value()
    # Python has surrogates for bytes of the environment that it cannot decode.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must be text in UTF-8")
    if len(value) < SECRET_MIN_LENGTH:
        raise ValueError(
            f"must have at least {SECRET_MIN_LENGTH} characters:"
            " generate one with `openssl rand -base64 32`"
        )
    if len(set(value)) == 1:
        raise ValueError("repeats one character: generate a secret with `openssl rand -base64 32`")
    if value == _BETTER_AUTH_DEFAULT_SECRET:
        raise ValueError(
            "is Better Auth's default, which is public: generate one with `openssl rand -base64 32`"
        )
    return secret


def _secrets(text: object) -> object:
    """The secrets in Better Auth's own form, `2:<new>,1:<old>`: versions and secrets."""
    if not isinstance(text, str):
        return text
    found: dict[str, SecretStr] = {}
    for entry in text.split(","):
        parts = _ENTRY.fullmatch(entry)
        if parts is None:
            raise ValueError("must be versions with secrets such as 2:new-secret,1:old-secret")
        version, secret = parts.groups()
        if version in found:
            raise ValueError(f"has version {version} twice")
        found[version] = _checked(SecretStr(secret))
    return tuple(found.values())


Secret = Annotated[SecretStr, AfterValidator(_checked)]
Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_secrets), Field(repr=False)]
