"""Converts claims of Better Auth's tokens into `Claims`."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from application.ports.credentials import Claims
from domain.errors import Unauthenticated
from domain.refusals import Reason, shown
from domain.users import clean_email
from domain.validation import RuleViolation

#: Clock skew that is tolerated in `updatedAt`.
_LEEWAY: Final = timedelta(minutes=1)


def issued_at(claims: dict[str, Any]) -> datetime | None:
    """The time of `iat`, or None without one."""
    return datetime.fromtimestamp(claims["iat"], UTC) if "iat" in claims else None


def audience_matches(expected: str, claim: object) -> bool:
    """Whether an `aud` claim is the expected value, or a list that has it."""
    return expected in claim if isinstance(claim, list) else claim == expected


def claim_mismatch(name: Literal["iss", "aud"], expected: str, claim: object) -> Unauthenticated:
    """The error for a claim that is not, or does not have, the expected value."""
    reason = Reason.WRONG_ISSUER if name == "iss" else Reason.WRONG_AUDIENCE
    return Unauthenticated(reason, expected=f"{name} {expected}", seen=f"{name} {shown(claim)}")


def claims_of(claims: dict[str, Any], now: datetime) -> Claims | None:
    """The profile of a user in verified claims; None without a valid e-mail address.

    `emailVerified` is passed on unchecked: callers decide whether they trust its issuer that far.
    """
    email, name, image = claims.get("email"), claims.get("name"), claims.get("image")
    verified = claims.get("emailVerified")
    try:
        email = clean_email(email) if isinstance(email, str) else None
    except RuleViolation:
        email = None
    if email is None:
        return None
    return Claims(
        email=email,
        name=_storable(name) if isinstance(name, str) else None,
        image=_storable(image) if isinstance(image, str) else None,
        states_image="image" in claims,
        email_verified=verified if isinstance(verified, bool) else None,
        updated_at=_past(claims.get("updatedAt"), now),
    )


def _storable(text: str) -> str:
    """The text as Better Auth would store it: unpaired surrogates replaced, NULs removed."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "")


def _past(value: object, now: datetime) -> datetime | None:
    """A time in the past, or None: a future `updatedAt` would make later updates look outdated."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        time = time.astimezone(UTC) if time is not None and time.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
    return time if time is not None and time <= now + _LEEWAY else None
