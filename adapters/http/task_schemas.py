"""The schemas of tasks."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictStr

from adapters.http import patterns
from adapters.http.schema import ID_MAX, RequestBody, Schema, canonical_integer
from domain.tasks import DESCRIPTION_MAX_LENGTH, LIMIT_MAX, PAGE_MAX, TITLE_MAX_LENGTH, TaskStatus

TaskId = Annotated[int, Field(ge=1, le=ID_MAX), BeforeValidator(canonical_integer)]
PageNumber = Annotated[int, Field(ge=1, le=PAGE_MAX), BeforeValidator(canonical_integer)]
PageLimit = Annotated[int, Field(ge=1, le=LIMIT_MAX), BeforeValidator(canonical_integer)]

_TITLE: Final[dict[str, Any]] = {
    "minLength": 1,
    "maxLength": TITLE_MAX_LENGTH,
    "pattern": patterns.LINE,
}
_DESCRIPTION: Final[dict[str, Any]] = {
    "maxLength": DESCRIPTION_MAX_LENGTH,
    "pattern": patterns.BLOCK,
}
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


class NewTask(RequestBody):
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


class TaskUpdate(RequestBody):
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


class Completion(RequestBody):
    """Whether the task is to be completed; without a body, the request toggles it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"completed": True}]})

    completed: StrictBool


class Task(Schema):
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


class TaskPage(Schema):
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
