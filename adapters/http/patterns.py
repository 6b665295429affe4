"""The rules for text as patterns in OpenAPI (ECMA 262), so that clients can validate input.

They only document: the domain validates, and a test compares both.
"""

from typing import Final

from domain.users import EMAIL_PATTERN

_BIDI: Final = r"\u202a-\u202e\u2066-\u2069"
_NOT_IN_LINE: Final = rf"\u0000-\u001f\u007f-\u009f{_BIDI}"
_NOT_IN_BLOCK: Final = rf"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_BIDI}"
# White space and invisible characters up to U+FFFF. The domain also rejects those above, which a
# pattern could only express with surrogates.
_BLANK: Final = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    r"\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u2064"
    r"\u2066-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)

MAYBE_BLANK_LINE: Final = f"^[^{_NOT_IN_LINE}]*$"
LINE: Final = f"^[^{_NOT_IN_LINE}]*[^{_BLANK}][^{_NOT_IN_LINE}]*$"
BLOCK: Final = f"^[^{_NOT_IN_BLOCK}]*$"
EMAIL: Final = f"^{EMAIL_PATTERN}$"
