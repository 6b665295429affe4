"""The shapes that go over the wire. Values are the domain's business, not theirs.

The read models are for the documentation: entities are written out as they are, field by field
the same (a test holds the two together), because a pass through these would cost three times as
much.
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    StringConstraints,
)

from adapters.http import patterns
from application.ports.credentials import CredentialKind
from application.sessions import PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH
from domain.tasks import DESCRIPTION_MAX_LENGTH, LIMIT_MAX, PAGE_MAX, TITLE_MAX_LENGTH, TaskStatus
from domain.users import EMAIL_MAX_LENGTH, NAME_MAX_LENGTH

ID_MAX: Final = 2**63 - 1


def _canonical(text: object) -> object:
    """Refuses what Python's `int` would let pass: signs, leading zeros, `1_0`, `1.0`, spaces."""
    if isinstance(text, str) and not (text.isascii() and text.isdigit() and text[0] != "0"):
        raise ValueError("must be a whole number from 1, written in the plain way")
    return text


TaskId = Annotated[int, Field(ge=1, le=ID_MAX), BeforeValidator(_canonical)]
PageNumber = Annotated[int, Field(ge=1, le=PAGE_MAX), BeforeValidator(_canonical)]
PageLimit = Annotated[int, Field(ge=1, le=LIMIT_MAX), BeforeValidator(_canonical)]

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

_TITLE: Final[dict[str, Any]] = {
    "minLength": 1,
    "maxLength": TITLE_MAX_LENGTH,
    "pattern": patterns.LINE,
}
_DESCRIPTION: Final[dict[str, Any]] = {
    "maxLength": DESCRIPTION_MAX_LENGTH,
    "pattern": patterns.BLOCK,
}
_NAME: Final[dict[str, Any]] = {
    "maxLength": NAME_MAX_LENGTH,
    "pattern": patterns.MAYBE_BLANK_LINE,
}
_EMAIL: Final[dict[str, Any]] = {"maxLength": EMAIL_MAX_LENGTH, "pattern": patterns.EMAIL}
_TASK: Final[dict[str, Any]] = {
    "id": 42,
    "user_id": "aoYLwtHGjSs1EmyJt95213FabGn83oy4",
    "title": "Water the plants",
    "description": "The ones on the balcony, too.",
    "status": "Pending",
    "completed_at": None,
    "version": 1,
    "created_at": "2026-11-20T16:31:35.303112Z",
    "updated_at": "2026-11-20T16:31:35.303112Z",
}


_USER: Final[dict[str, Any]] = {
    "id": "aoYLwtHGjSs1EmyJt95213FabGn83oy4",
    "email": "ann@example.com",
    "name": "Ann",
    "email_verified": False,
    "image": None,
    "created_at": "2026-11-20T16:31:35.303112Z",
    "updated_at": "2026-11-20T16:31:35.303112Z",
}
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
    "user": _USER,
    "session": _SESSION,
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
    "token_type": "Bearer",
    "expires_in": 604_800,
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EmailAndPassword(_Body):
    """Who signs in, and the password that proves it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ann@example.com", "password": "correct horse battery"}]
        }
    )

    email: Annotated[StrictStr, Field(json_schema_extra=_EMAIL)]
    password: Annotated[StrictStr, Field(json_schema_extra={"maxLength": PASSWORD_MAX_LENGTH})]


class NewUser(EmailAndPassword):
    """Who signs up. The length of a password is counted in UTF-16 code units."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"email": "ann@example.com", "password": "correct horse battery", "name": "Ann"}
            ]
        }
    )

    password: Annotated[
        StrictStr,
        Field(
            json_schema_extra={"minLength": PASSWORD_MIN_LENGTH, "maxLength": PASSWORD_MAX_LENGTH}
        ),
    ]
    # A default in the schema would make clients' generators require the field.
    name: Annotated[
        StrictStr,
        Field(
            default_factory=str,
            description="Empty where absent.",
            json_schema_extra=_NAME,
        ),
    ]


class NewName(_Body):
    """What the user wants to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ann"}]})

    name: Annotated[StrictStr, Field(json_schema_extra=_NAME)]


class NewTask(_Body):
    """A task to be. Text is trimmed and brought to Unicode NFC; lengths count code points."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"title": "Water the plants", "description": "The ones on the balcony."}]
        }
    )

    title: Annotated[StrictStr, Field(json_schema_extra=_TITLE)]
    description: Annotated[StrictStr | None, Field(json_schema_extra=_DESCRIPTION)] = None
    # A default in the schema would make clients' generators require the field.
    status: Annotated[
        TaskStatus,
        Field(default_factory=lambda: TaskStatus.PENDING, description="`Pending` where absent."),
    ]


class TaskUpdate(_Body):
    """A partial update: what is absent stays as it is, and null clears the description."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Water all the plants"}, {"description": None}]}
    )

    # Never read: a default only makes a field optional, and this kind stays out of the schema.
    title: Annotated[StrictStr, Field(default_factory=str, json_schema_extra=_TITLE)]
    description: Annotated[
        StrictStr | None, Field(default_factory=str, json_schema_extra=_DESCRIPTION)
    ]
    status: Annotated[TaskStatus, Field(default_factory=lambda: TaskStatus.PENDING)]


class Completion(_Body):
    """Whether the task is to be completed; without a body, the request toggles it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"completed": True}]})

    completed: StrictBool


class Task(BaseModel):
    """Something that a user means to do. Times are UTC (RFC 3339)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_TASK]})

    id: Annotated[int, Field(ge=1, le=ID_MAX)]
    user_id: str
    title: Annotated[str, Field(json_schema_extra=_TITLE)]
    description: Annotated[str | None, Field(json_schema_extra=_DESCRIPTION)]
    status: TaskStatus
    completed_at: datetime | None
    version: Annotated[int, Field(ge=1)]
    created_at: datetime
    updated_at: datetime


class TaskPage(BaseModel):
    """One page of tasks. `count` is on this page, `total` on all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"data": [_TASK], "count": 1, "total": 1, "page": 1, "limit": 50}]
        }
    )

    data: list[Task]
    count: Annotated[int, Field(ge=0, le=LIMIT_MAX)]
    total: Annotated[int, Field(ge=0)]
    page: Annotated[int, Field(ge=1, le=PAGE_MAX)]
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)]


class User(BaseModel):
    """Somebody who can sign in. Times are UTC (RFC 3339)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_USER]})

    id: str
    email: str
    name: str
    email_verified: bool
    image: str | None
    created_at: datetime
    updated_at: datetime


class Session(BaseModel):
    """Being signed in on one device. `current` is the one that the request stands for."""

    model_config = ConfigDict(json_schema_extra={"examples": [_SESSION]})

    id: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ip_address: str | None
    user_agent: str | None
    current: bool


class Refreshed(BaseModel):
    """An access token, good for `expires_in` seconds at most, and only while its session lives.

    Session and tokens are null after a sign-up whose address must be verified first.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_REFRESHED]})

    user: User
    session: Session | None
    access_token: str | None
    token_type: Literal["Bearer"]
    expires_in: int | None


class SignedIn(Refreshed):
    """A new session, its token, and an access token that hangs on it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_REFRESHED, "session_token": "0OwMpZhwD5Huhr3ZYG20PGusjyeGeYfm"}]
        }
    )

    session_token: str | None


class ValidSession(BaseModel):
    """Who is asking, and by which credential; tokens of others stand for no session."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"user": _USER, "session": _SESSION, "credential": "cookie"}]
        }
    )

    user: User
    session: Session | None
    credential: CredentialKind


class Sessions(BaseModel):
    """All sessions of the user that are alive."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"data": [_SESSION], "count": 1}]})

    data: list[Session]
    count: Annotated[int, Field(ge=0)]


class Health(BaseModel):
    """Whether something is well."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class DatabaseHealth(Health):
    """Whether the database answers, and how long that took."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok", "latency_ms": 0.7}]})

    latency_ms: float
