"""The rules for text, as patterns that a client may hold its input against (ECMA 262).

They are for the document alone: the domain refuses, and a test holds the two together.
"""

from typing import Final

from domain.users import EMAIL_PATTERN

_BIDI: Final = r"\u202a-\u202e\u2066-\u2069"
_IN_NO_LINE: Final = rf"\u0000-\u001f\u007f-\u009f{_BIDI}"
_IN_NO_BLOCK: Final = rf"\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f{_BIDI}"
# White space, and what a renderer may draw as nothing, up to U+FFFF: above it, such characters
# are refused where they are alone, and it would take surrogates to say so here.
_BLANK: Final = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"
    r"\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u2064"
    r"\u2066-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb"
)

MAYBE_BLANK_LINE: Final = f"^[^{_IN_NO_LINE}]*$"
LINE: Final = f"^[^{_IN_NO_LINE}]*[^{_BLANK}][^{_IN_NO_LINE}]*$"
BLOCK: Final = f"^[^{_IN_NO_BLOCK}]*$"
EMAIL: Final = f"^{EMAIL_PATTERN}$"
