"""Signed values, which Better Auth uses in cookies and as bearer tokens.

`<value>.<signature>`. The signature is the HMAC-SHA256 of the value with the secret as its key, in
standard base64 with padding: 44 characters, the last of which is `=`.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from domain.errors import Unauthenticated
from domain.refusals import Reason

_SIGNATURE_LENGTH: Final = 44


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signs values with the secret, and reads signed values."""

    secret: str = field(repr=False)

    def sign(self, value: str) -> str:
        """The signed value, percent-encoded like JavaScript's `encodeURIComponent`."""
        return quote(f"{value}.{self._signature(value)}", safe="!'()*~")

    def read(self, text: str) -> str | None:
        """The value of a signed text, percent-encoded or not; None if the signature is invalid.

        The text is decoded once: `+` is kept, and a text that was encoded twice is rejected.
        """
        value, _, signature = unquote(text).rpartition(".")
        if not value or len(signature) != _SIGNATURE_LENGTH or not signature.endswith("="):
            return None
        expected = self._signature(value).encode()
        return value if hmac.compare_digest(signature.encode(), expected) else None

    def error_of(self, text: str) -> Unauthenticated:
        """The error for a text for which `read` returns None."""
        decoded = unquote(text)
        if decoded != text and self.read(decoded) is not None:
            return Unauthenticated(Reason.ENCODED_TWICE)
        if len(decoded.rpartition(".")[2]) != _SIGNATURE_LENGTH or "." not in decoded:
            return Unauthenticated(
                Reason.SIGNATURE_MISSING, expected="a token, a dot and a signature of 44 characters"
            )
        return Unauthenticated(Reason.BAD_SIGNATURE, expected="HMAC-SHA256 with BETTER_AUTH_SECRET")

    def _signature(self, value: str) -> str:
        digest = hmac.digest(self.secret.encode(), value.encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()
