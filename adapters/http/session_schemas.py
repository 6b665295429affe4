"""The schemas of signing in and of sessions."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StrictStr, StringConstraints

from adapters.http import patterns
from adapters.http.schema import RequestBody, Schema
from adapters.http.user_schemas import NAME, USER, User
from application.ports.credentials import CredentialKind
from domain.users import EMAIL_MAX_LENGTH

SessionId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$"),
    Field(description="The id of the session."),
]

_EMAIL: Final[dict[str, Any]] = {"maxLength": EMAIL_MAX_LENGTH, "pattern": patterns.EMAIL}
_SESSION: Final[dict[str, Any]] = {
    "id": "Xb7cD9eFgH1iJ2kL3mN4oP5qR6sT7uV8",
    "created_at": "2026-11-20T16:31:35.303112Z",
    "updated_at": "2026-11-20T16:31:35.303112Z",
    "expires_at": "2026-11-27T16:31:35.303112Z",
    "ip_address": "203.0.113.7",
    "user_agent": "Mozilla/5.0",
    "current": True,
}
_REFRESHED: Final[dict[str, Any]] = {
    "user": USER,
    "session": _SESSION,
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 604_800,
}


class EmailAndPassword(RequestBody):
    """The credentials of a user who signs in."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ann@example.com", "password": "correct horse battery"}]
        }
    )

    email: Annotated[StrictStr, Field(json_schema_extra=_EMAIL)]
    # `customize` adds the lengths of passwords.
    password: StrictStr


class NewUser(EmailAndPassword):
    """The credentials of a new user. The length of a password counts UTF-16 code units."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"}
            ]
        }
    )

    # A default in the schema would make clients' generators require the field.
    name: Annotated[
        StrictStr,
        Field(
            default_factory=str,
            description="Empty if absent.",
            json_schema_extra=NAME,
        ),
    ]


class Session(Schema):
    """A session on one device. `current` is the one whose credential the request carries."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SESSION]})

    id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None
    #: Whether the credential of the request belongs to this session.
    current: bool


class Refreshed(Schema):
    """An access token, valid for at most `expires_in` seconds, and only while its session lives.

    Session and tokens are null after a sign-up that creates no session.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_REFRESHED]})

    user: User
    #: The session of the request, or the new one.
    session: Session | None
    access_token: str | None
    token_type: Literal["Bearer"]
    #: The lifetime of the access token in seconds; the token also ends with its session.
    expires_in: int | None


class SignedIn(Refreshed):
    """A new session, its token, and an access token for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_REFRESHED, "session_token": "0OwMpZhwD5Huhr3ZYG20PGusjyeGeYfm"}]
        }
    )

    #: The raw token of the session. No other response contains it.
    session_token: str | None


class ValidSession(Schema):
    """The user, the session and the kind of credential; foreign tokens have no session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": USER, "session": _SESSION, "credential": "cookie"}]
        }
    )

    user: User
    #: Null if the credential belongs to no session.
    session: Session | None
    #: The credential that authenticated the request.
    credential: CredentialKind


class Sessions(Schema):
    """The active sessions of the user."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_SESSION], "count": 1}]})

    #: Newest first; there are no pages.
    data: list[Session]
    #: The number of sessions in `data`.
    count: Annotated[int, Field(ge=0)]
