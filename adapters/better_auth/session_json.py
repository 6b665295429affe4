"""A session with its user as JSON, as Better Auth stores and sends it."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.better_auth.claims import claims_of
from domain.sessions import Session
from domain.users import User

#: What reading JSON raises that is anything else than expected.
_UNREADABLE: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    # Of a time that the platform cannot represent.
    OSError,
    OverflowError,
    RecursionError,
)


class InvalidJson(Exception):
    """A text is not what Better Auth stores or sends."""


@dataclass(frozen=True, slots=True)
class SessionAndUser:
    session: Session
    user: User


def session_and_user(text: str | bytes) -> SessionAndUser | None:
    """The session in a JSON text, with its user; None if the user has no e-mail address that this
    service can store. Raises `InvalidJson`.
    """
    try:
        value = json.loads(text)
        session, user = _session(value["session"]), _user(value["user"])
    except _UNREADABLE:
        raise InvalidJson from None
    if user is not None and user.id != session.user_id:
        raise InvalidJson
    return None if user is None else SessionAndUser(session, user)


def sessions(text: str | bytes) -> list[Session]:
    """The sessions in a JSON list. Raises `InvalidJson`."""
    try:
        values = json.loads(text)
        if not isinstance(values, list):
            raise InvalidJson
        return [_session(value) for value in values]
    except _UNREADABLE:
        raise InvalidJson from None


def _session(value: Any) -> Session:
    created_at = _time(value["createdAt"])
    updated_at = value.get("updatedAt")
    return Session(
        id=_id(value["id"]),
        user_id=_id(value["userId"]),
        token=_text(value["token"]),
        created_at=created_at,
        updated_at=created_at if updated_at is None else _time(updated_at),
        expires_at=_time(value["expiresAt"]),
        # Better Auth stores an empty text if it does not know the value.
        ip_address=_text_or_none(value.get("ipAddress")),
        user_agent=_text_or_none(value.get("userAgent")),
    )


def _user(value: Any) -> User | None:
    updated_at = _time(value["updatedAt"])
    claims = claims_of(value, updated_at)
    if claims is None:
        return None
    ban_expires_at = value.get("banExpires")
    return User(
        id=_id(value["id"]),
        email=claims.email,
        name=claims.name or "",
        email_verified=claims.email_verified is True,
        image=claims.image,
        created_at=_time(value["createdAt"]),
        updated_at=updated_at,
        has_second_factor=bool(value.get("twoFactorEnabled")),
        banned=bool(value.get("banned")),
        ban_expires_at=None if ban_expires_at is None else _time(ban_expires_at),
    )


def _time(value: Any) -> datetime:
    """A time as JSON has it: in ISO 8601, or in milliseconds since the epoch."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)


def _id(value: Any) -> str:
    """An id as text: it is a number with `generateId: "serial"`."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value)
    if not text or not text.isprintable():
        raise ValueError
    return text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _text_or_none(value: Any) -> str | None:
    return value or None if isinstance(value, str) else None
