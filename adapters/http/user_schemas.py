"""The schemas of users."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, StrictStr

from adapters.http import patterns
from adapters.http.schema import RequestBody, Schema
from domain.users import NAME_MAX_LENGTH

NAME: Final[dict[str, Any]] = {
    "maxLength": NAME_MAX_LENGTH,
    "pattern": patterns.MAYBE_BLANK_LINE,
}
USER: Final[dict[str, Any]] = {
    "id": "aoYLwtHGjSs1EmyJt95213FabGn83oy4",
    "email": "ann@example.com",
    "name": "Ann",
    "email_verified": False,
    "image": None,
    "created_at": "2026-11-20T16:31:35.303112Z",
    "updated_at": "2026-11-20T16:31:35.303112Z",
}


class NewName(RequestBody):
    """A new name of the user."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Ann"}]})

    name: Annotated[StrictStr, Field(json_schema_extra=NAME)]


class User(Schema):
    """A person who can sign in. Times are UTC (RFC 3339)."""

    model_config = ConfigDict(json_schema_extra={"examples": [USER]})

    id: str
    email: str
    name: str
    email_verified: bool
    image: str | None
    created_at: datetime
    updated_at: datetime
