"""Sessions and users as JSON texts of Better Auth."""

import json
from datetime import datetime
from typing import Any

from domain.sessions import Session
from domain.users import User


def session_value(session: Session) -> dict[str, Any]:
    return {
        "expiresAt": json_time(session.expires_at),
        "token": session.token,
        "createdAt": json_time(session.created_at),
        "updatedAt": json_time(session.updated_at),
        "ipAddress": session.ip_address or "",
        "userAgent": session.user_agent or "",
        "userId": session.user_id,
        "id": session.id,
    }


def user_value(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "email": user.email,
        "emailVerified": user.email_verified,
        "image": user.image,
        "createdAt": json_time(user.created_at),
        "updatedAt": json_time(user.updated_at),
        "id": user.id,
    }


def text_of(session: Session, user: User) -> str:
    """The value of the token in the secondary storage, and the response of `get-session`."""
    return dumped({"session": session_value(session), "user": user_value(user)})


def dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def json_time(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
