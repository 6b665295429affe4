"""Ids and tokens in Better Auth's form."""

import secrets
import string
from typing import Final

_ALPHABET: Final = string.ascii_letters + string.digits
_LENGTH: Final = 32


def random_id() -> str:
    """`RandomIds`: 32 letters and digits, about 190 bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
