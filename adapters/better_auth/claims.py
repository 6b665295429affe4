"""What verified claims say, in our own words."""

from datetime import UTC, datetime, timedelta
from typing import Any

from application.ports.credentials import Claims
from domain.text import InvalidText
from domain.users import clean_email

_LEEWAY = timedelta(minutes=1)


def issued_at(claims: dict[str, Any]) -> datetime | None:
    return datetime.fromtimestamp(claims["iat"], UTC) if "iat" in claims else None


def claim_matches(expected: str, claim: object) -> bool:
    """Whether an `iss` or `aud` claim names what is expected; an `aud` may be a list."""
    return expected in claim if isinstance(claim, list) else claim == expected


def claims_of(claims: dict[str, Any], now: datetime) -> Claims | None:
    """The user as the claims describe them; None without an address that could sign in.

    What they say of `emailVerified` is for the caller to judge: here it is taken as it stands.
    """
    email, name, image = claims.get("email"), claims.get("name"), claims.get("image")
    verified = claims.get("emailVerified")
    try:
        email = clean_email(email) if isinstance(email, str) else None
    except InvalidText:
        email = None
    if email is None:
        return None
    return Claims(
        email=email,
        name=_storable(name) if isinstance(name, str) else None,
        image=_storable(image) if isinstance(image, str) else None,
        says_image="image" in claims,
        email_verified=verified if isinstance(verified, bool) else None,
        updated_at=_past(claims.get("updatedAt"), now),
    )


def _storable(text: str) -> str:
    """The text as Better Auth would store it: unpaired surrogates replaced, no NUL."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def _past(value: object, now: datetime) -> datetime | None:
    """A date that is yet to come is none: nothing that happens later would be news after it."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        time = time.astimezone(UTC) if time is not None and time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return time if time is not None and time <= now + _LEEWAY else None
