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

    def _signature(self, value: str) -> str:
        digest = hmac.digest(self.secret.encode(), value.encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()
