"""Forged session tokens and cookies, and credentials that contradict each other."""

import base64
import hmac
from datetime import UTC, datetime
from typing import Final

from tests.better_auth.signer import encoded
from tests.http.client import SECRET, shared_secret_token
from tests.http.credentials import (
    COOKIE,
    CREDENTIALS,
    HEADERS_OF,
    access_token,
    bearer,
    cookie,
    cookie_of,
    plugin_claims,
    plugin_token,
    signature,
    signed,
)
from tests.http.forging import (
    CACHE_AUDIENCE,
    CACHE_HEADER,
    OTHER_SECRET,
    OWN_KEY,
    UNKNOWN,
    Forgery,
    change_letter,
    change_spare_bits,
    compact_cookie_cache,
    cookie_cache,
    cookie_with_signature,
    now,
    shared_claims,
    sign_with_secret,
)

SESSION_TOKENS: Final[dict[str, Forgery]] = {
    "unknown": lambda _: bearer(UNKNOWN),
    "the id of a session": lambda s: bearer(s.id),
    "the id of a user": lambda s: bearer(s.user_id),
    "expired": lambda _: bearer("TokenOfAnnExpired".ljust(32, "0")),
    "in capitals": lambda s: bearer(s.token.upper()),
    "cut short": lambda s: bearer(s.token[:-1]),
    "with a letter more": lambda s: bearer(f"{s.token}0"),
    "with the scheme before it": lambda s: bearer(f"Bearer {s.token}"),
    "a pattern of SQL": lambda _: bearer("_" * 32),
    "SQL": lambda _: bearer("x'or'1'='1"),
    "SQL with a comment": lambda s: bearer(f"{s.token}'--"),
    "NUL": lambda s: bearer(f"{s.token}\0"),
    "a line break": lambda s: bearer(f"{s.token}\r\nX-Other: 1"),
    "an encoded line break": lambda s: bearer(f"{s.token}%0d%0a"),
    "letters outside ASCII": lambda s: bearer(f"{s.token}ä"),
    "letters that look the same": lambda s: bearer(s.token.replace("o", "о")),
    "percent-encoded": lambda s: bearer(f"%{ord(s.token[0]):02X}{s.token[1:]}"),
    "100 KB": lambda s: bearer(s.token * 3_200),
    "empty": lambda _: bearer(""),
    "a space": lambda _: bearer("  "),
    "dots": lambda _: bearer(".."),
    "one dot": lambda _: bearer("."),
    "a signature alone": lambda _: bearer(f".{signature('')}"),
    "signed with another secret": lambda s: bearer(f"{s.token}.{signature(s.token, OTHER_SECRET)}"),
    "with the signature of another": lambda s: bearer(f"{s.token}.{signature(UNKNOWN)}"),
    "signed, one letter changed": lambda s: bearer(
        change_letter(f"{s.token}.{signature(s.token)}")
    ),
    "signed, unpadded": lambda s: bearer(f"{s.token}.{signature(s.token)[:-1]}"),
    "signed in hex": lambda s: bearer(
        f"{s.token}.{hmac.digest(SECRET.encode(), s.token.encode(), 'sha256').hex()}"
    ),
    "signed, and unknown": lambda _: bearer(f"{UNKNOWN}.{signature(UNKNOWN)}"),
    "the signed dont_remember cookie": lambda _: bearer(f"true.{signature('true')}"),
    "signed twice": lambda s: bearer(
        f"{s.token}.{signature(s.token)}.{signature(f'{s.token}.{signature(s.token)}')}"
    ),
    "a compact cookie cache": lambda s: bearer(compact_cookie_cache(s)),
    "a JWE": lambda _: bearer(f"{encoded(b'{}')}..iv.text.tag"),
}

COOKIES: Final[dict[str, Forgery]] = {
    "unsigned": lambda s: cookie(s.token),
    "an empty signature": lambda s: cookie_with_signature(s, ""),
    "one letter changed": lambda s: cookie_with_signature(s, change_letter(signature(s.token))),
    "other spare bits": lambda s: cookie_with_signature(s, change_spare_bits(signature(s.token))),
    "the signature of another": lambda s: cookie_with_signature(s, signature(UNKNOWN)),
    "another token": lambda s: cookie(f"{'TokenOfBob'.ljust(32, '0')}.{signature(s.token)}"),
    "another secret": lambda s: cookie(signed(s.token, OTHER_SECRET)),
    "a secret with a line break": lambda s: cookie(signed(s.token, f"{SECRET}\n")),
    "cut short": lambda s: cookie(signed(s.token)[:-1]),
    "cut short by its padding": lambda s: cookie_with_signature(s, signature(s.token)[:-1]),
    "padded twice": lambda s: cookie_with_signature(s, signature(s.token) + "="),
    "in the alphabet of URLs": lambda s: cookie_with_signature(
        s, signature(s.token).translate(str.maketrans("+/", "-_"))
    ),
    "in hex": lambda s: cookie_with_signature(
        s, hmac.digest(SECRET.encode(), s.token.encode(), "sha256").hex()
    ),
    "SHA-1": lambda s: cookie_with_signature(
        s, base64.b64encode(hmac.digest(SECRET.encode(), s.token.encode(), "sha1")).decode()
    ),
    "the token in capitals": lambda s: cookie(f"{s.token.upper()}.{signature(s.token)}"),
    "the signature in capitals": lambda s: cookie_with_signature(s, signature(s.token).upper()),
    "encoded twice": lambda s: cookie(signed(s.token).replace("%", "%25")),
    "a plus for a space": lambda s: cookie_with_signature(s, signature(s.token).replace("+", " ")),
    "signed twice": lambda s: cookie(signed(f"{s.token}.{signature(s.token)}")),
    "signed and expired": lambda _: cookie(signed("TokenOfAnnExpired".ljust(32, "0"))),
    "signed and unknown": lambda _: cookie(signed(UNKNOWN)),
    "a signed id of a session": lambda s: cookie(signed(s.id)),
    "a signed id of a user": lambda s: cookie(signed(s.user_id)),
    "a signed empty value": lambda _: cookie(signed("")),
    "the signed dont_remember cookie": lambda _: cookie(signed("true")),
    "signed SQL": lambda _: cookie(signed("x' or '1'='1")),
    "signed NUL": lambda s: cookie(signed(f"{s.token}\0")),
    "NUL": lambda s: cookie(f"{s.token}%00.{signature(s.token)}"),
    "a line break": lambda s: cookie(f"{s.token}%0D%0A.{signature(s.token)}"),
    "an unencoded line break": lambda s: cookie(f"{s.token}\r\n.{signature(s.token)}"),
    "letters outside ASCII": lambda s: cookie(f"{s.token}ä.{signature(s.token)}"),
    "a signature outside ASCII": lambda s: cookie_with_signature(s, "ä" * 43 + "="),
    "not UTF-8": lambda s: cookie(f"{s.token}%ff%fe.{signature(s.token)}"),
    "half a character": lambda s: cookie(f"%ED%A0%80{s.token}.{signature(s.token)}"),
    "half an escape": lambda s: cookie(f"{signed(s.token)}%"),
    "100 KB": lambda s: cookie(f"{s.token * 3_200}.{signature(s.token)}"),
    "100 KB of dots": lambda s: cookie("." * 100_000),
    "1,000 of them": lambda s: [("Cookie", f"{COOKIE}={UNKNOWN}; " * 1_000)],
    "empty": lambda _: cookie(""),
    "dots": lambda _: cookie(".."),
    "a signature alone": lambda _: cookie(f".{signature('')}"),
    "without a name": lambda s: [("Cookie", signed(s.token))],
    "under the name of another cookie": lambda s: cookie(
        signed(s.token), "better-auth.session_data"
    ),
    "under the name for https": lambda s: cookie(signed(s.token), f"__Secure-{COOKIE}"),
    "two of them": lambda s: cookie(f"{signed(s.token)}; {COOKIE}={signed(UNKNOWN)}"),
    "an access token": lambda s: cookie(access_token(s)),
    "a token of the jwt plugin": lambda _: cookie(plugin_token()),
    "a token of the shared secret": lambda _: cookie(shared_secret_token()),
    "a compact cookie cache": lambda s: cookie(compact_cookie_cache(s)),
    "a compact cookie cache under its name": lambda s: cookie(
        compact_cookie_cache(s), "better-auth.session_data"
    ),
    "a cookie cache of HS256": lambda s: cookie(
        sign_with_secret({**cookie_cache(s), "iat": now(), "exp": now() + 300})
    ),
    "a session cache": lambda s: cookie(
        OWN_KEY.token(plugin_claims(**cookie_cache(s), aud=CACHE_AUDIENCE), **CACHE_HEADER)
    ),
}

COMBINATIONS: Final[dict[str, Forgery]] = {
    **{
        f"{name}, and a cookie of another user": lambda s, name=name: (  # type: ignore[misc]
            [*HEADERS_OF[name](s), *cookie(signed("TokenOfBob".ljust(32, "0")))]
        )
        for name in CREDENTIALS
    },
    "a new user, and a cookie of another user": lambda _: [
        *bearer(shared_secret_token("eve")),
        *cookie(signed("TokenOfBob".ljust(32, "0"))),
    ],
    "newer claims of a user, and a cookie of another": lambda _: [
        *bearer(
            sign_with_secret(shared_claims(name="New", updatedAt=datetime.now(UTC).isoformat()))
        ),
        *cookie(signed("TokenOfBob".ljust(32, "0"))),
    ],
    "two tokens of two users": lambda s: (
        bearer(access_token(s)) + bearer(shared_secret_token("bob"))
    ),
    "two tokens in one header": lambda s: bearer(
        f"{access_token(s)}, Bearer {shared_secret_token('bob')}"
    ),
    "two cookies of two users": lambda s: [
        *cookie(signed(s.token)),
        ("Cookie", f"{COOKIE}={signed('TokenOfBob'.ljust(32, '0'))}"),
    ],
    "an invalid bearer and a valid cookie": lambda s: bearer(UNKNOWN) + cookie_of(s),
    "a forged bearer and a valid cookie": lambda s: (
        bearer(change_letter(access_token(s))) + cookie_of(s)
    ),
}
