"""The schemas of tasks."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query
from pydantic import BeforeValidator, ConfigDict, Field, StrictBool, StrictStr

from adapters.http import patterns
from adapters.http.schema import ID_MAX, RequestBody, Schema, canonical_integer
from domain.tasks import (
    DESCRIPTION_MAX_LENGTH,
    LIMIT_MAX,
    PAGE_MAX,
    SEARCH_MAX_LENGTH,
    TITLE_MAX_LENGTH,
    TaskSort,
    TaskStatus,
)

TaskId = Annotated[
    int,
    Field(ge=1, le=ID_MAX, description="The id of the task."),
    BeforeValidator(canonical_integer),
]
PageNumber = Annotated[
    int,
    Field(ge=1, le=PAGE_MAX, description="The number of the page."),
    BeforeValidator(canonical_integer),
]
PageLimit = Annotated[
    int,
    Field(ge=1, le=LIMIT_MAX, description="The number of tasks on a page."),
    BeforeValidator(canonical_integer),
]
StatusFilter = Annotated[
    TaskStatus | None, Query(description="Only tasks with this status; all if absent.")
]
SortOrder = Annotated[TaskSort, Query(description="The order; `-` for descending.")]
TaskSearch = Annotated[
    str | None,
    Query(
        description="A part of the title or of the description, in any case.",
        json_schema_extra={
            "minLength": 1,
            "maxLength": SEARCH_MAX_LENGTH,
            "pattern": patterns.BLOCK,
        },
    ),
]

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
    """A new task. Text is trimmed and normalized to Unicode NFC; lengths count code points."""

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
        Field(default_factory=lambda: TaskStatus.PENDING, description="`Pending` if absent."),
    ]


class TaskUpdate(RequestBody):
    """A partial update: absent members keep their values, and null clears the description."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Water all the plants"}, {"description": None}]}
    )

    # Never read: a default makes the member optional, and a factory stays out of OpenAPI.
    title: Annotated[StrictStr, Field(default_factory=str, json_schema_extra=_TITLE)]
    description: Annotated[
        StrictStr | None, Field(default_factory=str, json_schema_extra=_DESCRIPTION)
    ]
    status: Annotated[TaskStatus, Field(default_factory=lambda: TaskStatus.PENDING)]


class Completion(RequestBody):
    """Whether the task is completed; without a body, the request toggles it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"completed": True}]})

    #: Whether the task becomes completed.
    completed: StrictBool


class Task(Schema):
    """A task of a user. Times are UTC (RFC 3339)."""

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
    """One page of tasks. `count` is the number on this page, `total` on all pages."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"data": [_TASK], "count": 1, "total": 1, "page": 1, "limit": 50}]
        }
    )

    #: The tasks of the page, in order.
    data: list[Task]
    #: The number of tasks in `data`.
    count: Annotated[int, Field(ge=0, le=LIMIT_MAX)]
    total: Annotated[int, Field(ge=0)]
    #: As requested.
    page: Annotated[int, Field(ge=1, le=PAGE_MAX)]
    #: As requested.
    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX)]
