"""Values and texts to send in members of a body: rejected ones and allowed ones."""

import unicodedata
from typing import Final

from tests.http.fields import CANARY

OTHER_TYPES: Final[dict[str, tuple[int, str]]] = {
    "NaN": (400, "NaN"),
    "Infinity": (400, "Infinity"),
    "-Infinity": (400, "-Infinity"),
    "1e999": (400, "1e999"),
    "-1e999": (400, "-1e999"),
    "5,000 digits": (400, "9" * 5_000),
    "4,000 digits": (422, "9" * 4_000),
    "2^63": (422, "9223372036854775808"),
    "-0": (422, "-0"),
    "1": (422, "1"),
    "1.0": (422, "1.0"),
    "0": (422, "0"),
    "1e308": (422, "1e308"),
    "a tiny number": (422, "1e-400"),
    "a list": (422, "[]"),
    "a list of one": (422, f'["{CANARY}"]'),
    "an object": (422, f'{{"{CANARY}":"{CANARY}"}}'),
    "a prototype": (422, '{"__proto__":{}}'),
    "an object with a lone surrogate": (422, '{"\\ud800":1}'),
    "33 levels": (400, "[" * 32 + "]" * 32),
    "a duplicate member": (400, '{"a":1,"a":1}'),
}
SURROGATES: Final = ("\\ud800", "\\udfff", f"{CANARY}\\ud800", "\\udc00\\ud800", "\\ud83dx")
BOOLEANS: Final = ("true", "false")
FORBIDDEN_TEXT: Final = {
    "NUL": f"{CANARY}\0",
    "NUL alone": "\0",
    "a bell": f"{CANARY}\a",
    "an escape": f"\x1b[31m{CANARY}",
    "a delete": f"{CANARY}\x7f",
    "a C1 control": f"{CANARY}\x85x",
    **{f"U+{ord(c):04X}": f"{CANARY}{c}x" for c in "\u202a\u202d\u202e\u2066\u2068\u2069"},
}
CONTROL_CHARACTERS: Final = {
    "CR LF": f"{CANARY}\r\nSet-Cookie: a=b",
    "LF": f"{CANARY}\nx",
    "CR": f"{CANARY}\rx",
    "a tab": f"{CANARY}\tx",
}
INVISIBLE: Final = ("", " ", "\u200b", "\u200d\ufeff", "\u3164", "\u00ad", "\u2800", "\u00a0")
ALLOWED_TEXT: Final = {
    "SQL": "'; drop table task; --",
    "stacked SQL": "x'); delete from \"user\" where ('1'='1",
    "SQL union": "' union select token from session --",
    "placeholders": "$1 $$ :name ? %s %(a)s {0}",
    "wildcards": "100%_\\%",
    "a backslash": "a\\",
    "a regular expression": "(a+)+$ [ ( ) {9999999} \\1",
    "jsonb": '{"a":"\\u0000"}',
    "HTML": "<script>alert(1)</script>&lt;",
    "a template": "{{7*7}} ${jndi:ldap://x} #{x}",
    "a path": "../../etc/passwd",
    "a spreadsheet formula": "=cmd|' /C calc'!A0",
    "a date": "infinity",
    "the text null": "null",
    "a zero-width joiner": "👩\u200d👩\u200d👧",
    "zero-width spaces": "a\u200bb\u200cc",
    "right-to-left text": "שלום עולם",
    "a right-to-left mark": "a\u200fb",
    "beyond U+FFFF": "𝒳 😀 𠮷",
    "noncharacters": "a\ufffe\uffff\U0010ffff",
    "private use": "a\ue000",
    "a replacement character": "a\ufffd",
    "stacked diacritics": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘!͖̬̰̙̗̿̋ͥͥ̂ͣ̐́́͜͞",
    "dotted and dotless letters": "İıſK",
}


def normalized(text: str) -> str:
    """The form in which an accepted text is stored."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", lines).strip()
