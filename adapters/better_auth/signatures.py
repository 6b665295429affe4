"""Signed values, as Better Auth puts them into cookies and gives them out as bearers.

`<value>.<signature>`, where the signature is the HMAC-SHA256 of the value under the secret, in
standard base64 with its padding: 44 characters, the last of which is `=`.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

_LENGTH: Final = 44


@dataclass(frozen=True, slots=True)
class Signatures:
    """Signs values with the secret, and reads what was signed with it."""

    secret: str = field(repr=False)

    def sign(self, value: str) -> str:
        """The signed value, percent-encoded as `encodeURIComponent` does."""
        return quote(f"{value}.{self._signature(value)}", safe="!'()*~")

    def read(self, text: str) -> str | None:
        """The value in a text that is signed, percent-encoded or not; else None.

        `unquote` once and no more: `+` stays, and what was encoded twice does not come out.
        """
        value, _, signature = unquote(text).rpartition(".")
        if not value or len(signature) != _LENGTH or not signature.endswith("="):
            return None
        expected = self._signature(value).encode()
        return value if hmac.compare_digest(signature.encode(), expected) else None

    def _signature(self, value: str) -> str:
        digest = hmac.digest(self.secret.encode(), value.encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()
