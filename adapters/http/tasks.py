"""Tasks over HTTP: the routes under `/api/tasks`."""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import Request
from starlette.responses import Response

from adapters.asgi.responses import NO_STORE, json_response, no_content
from adapters.http.dependencies import CurrentUser, Deps
from adapters.http.etags import etag, if_match_versions, matches_if_none_match
from adapters.http.operations import Operations
from adapters.http.task_schemas import (
    Completion,
    NewTask,
    PageLimit,
    PageNumber,
    SortOrder,
    StatusFilter,
    TaskId,
    TaskPage,
    TaskSearch,
    TaskUpdate,
)
from adapters.http.task_schemas import Task as TaskSchema
from domain.tasks import (
    LIMIT_DEFAULT,
    StaleTask,
    Task,
    TaskChange,
    TaskDraft,
    TaskNotFound,
    TaskNotYours,
    TaskQuery,
    TaskSort,
)

# A private cache may store the response, but has to revalidate it each time.
_READ_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
_MISSING: Final = (TaskNotFound, TaskNotYours)
_CHANGE: Final[dict[str, Any]] = {"returns": TaskSchema, "raises": (*_MISSING, StaleTask)}

tasks: Final = Operations("tasks")


@tasks.get("/api/tasks", returns=TaskPage)
async def list_tasks(
    caller: CurrentUser,
    deps: Deps,
    page: PageNumber = 1,
    limit: PageLimit = LIMIT_DEFAULT,
    status: StatusFilter = None,
    q: TaskSearch = None,
    sort: SortOrder = TaskSort.CREATED_AT_DESCENDING,
) -> Response:
    """List the tasks of the user."""
    query = TaskQuery(page=page, limit=limit, status=status, q=q, sort=sort)
    found = await deps.use_cases.list_tasks(caller.user.id, query)
    body = {
        "data": found.tasks,
        "count": len(found.tasks),
        "total": found.total,
        "page": page,
        "limit": limit,
    }
    return json_response(body, 200, _READ_HEADERS)


@tasks.post("/api/tasks", returns=TaskSchema, status=201)
async def create_task(request: Request, caller: CurrentUser, deps: Deps, body: NewTask) -> Response:
    """Create a task."""
    task = await deps.use_cases.create_task(caller.user.id, TaskDraft(**body.sent_members()))
    location = f"{request.scope['root_path']}/api/tasks/{task.id}"
    return _task_response(task, 201, {**NO_STORE, "Location": location})


@tasks.get(
    "/api/tasks/{task_id}",
    returns=TaskSchema,
    raises=_MISSING,
    responses={304: {"description": "The task is still in a version that `If-None-Match` names."}},
)
async def get_task(request: Request, caller: CurrentUser, deps: Deps, task_id: TaskId) -> Response:
    """Get a task."""
    task = await deps.use_cases.get_task(caller.user.id, task_id)
    if matches_if_none_match(task, request):
        return Response(status_code=304, headers={**_READ_HEADERS, "ETag": etag(task)})
    return _task_response(task, 200, _READ_HEADERS)


@tasks.put("/api/tasks/{task_id}", **_CHANGE)
@tasks.patch("/api/tasks/{task_id}", operation_id="patchTask", **_CHANGE)
async def update_task(
    request: Request, caller: CurrentUser, deps: Deps, task_id: TaskId, body: TaskUpdate
) -> Response:
    """Update a task in part."""
    change = TaskChange(**body.sent_members())
    task = await deps.use_cases.update_task(
        caller.user.id, task_id, change, if_match=if_match_versions(request)
    )
    return _task_response(task, 200, NO_STORE)


@tasks.patch("/api/tasks/{task_id}/complete", **_CHANGE)
async def complete_task(
    request: Request,
    caller: CurrentUser,
    deps: Deps,
    task_id: TaskId,
    body: Completion | None = None,
) -> Response:
    """Toggle a task, or set it completed or not."""
    task = await deps.use_cases.complete_task(
        caller.user.id,
        task_id,
        completed=None if body is None else body.completed,
        if_match=if_match_versions(request),
    )
    return _task_response(task, 200, NO_STORE)


@tasks.delete(
    "/api/tasks/{task_id}",
    status=204,
    description="The task has been deleted.",
    raises=(*_MISSING, StaleTask),
)
async def delete_task(
    request: Request, caller: CurrentUser, deps: Deps, task_id: TaskId
) -> Response:
    """Delete a task."""
    await deps.use_cases.delete_task(caller.user.id, task_id, if_match=if_match_versions(request))
    return no_content()


def _task_response(task: Task, status: int, headers: Mapping[str, str]) -> Response:
    return json_response(task, status, {**headers, "ETag": etag(task)})
