"""Tasks over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from adapters.asgi.errors import MalformedRequest
from adapters.asgi.responses import NO_STORE, json_response
from adapters.http import patterns, schemas
from adapters.http.authentication import CurrentUser
from adapters.http.csrf import CrossSiteRequest
from adapters.http.etags import etag, if_match_versions, matches_if_none_match
from adapters.http.openapi import BODY_ERRORS, documented
from application.use_cases import UseCases
from domain.errors import Invalid
from domain.tasks import (
    LIMIT_DEFAULT,
    SEARCH_MAX_LENGTH,
    StaleTask,
    Task,
    TaskNotFound,
    TaskNotYours,
    TaskSort,
    TaskStatus,
)

# A cache may keep what a user has read, for that user alone, and asks again each time.
_READ_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Cookie, Authorization"}
_MISSED: Final = (Invalid, TaskNotFound, TaskNotYours)
_UNCHANGED: Final[dict[int | str, dict[str, Any]]] = {
    304: {"description": "The task is still in a version that `If-None-Match` names."}
}


def add_task_routes(app: FastAPI, use_cases: UseCases) -> None:
    """Everything under `/api/tasks`."""

    @app.get(
        "/api/tasks",
        operation_id="listTasks",
        summary="List the tasks of the user",
        response_model=schemas.TaskPage,
        responses=documented(Invalid),
        tags=["tasks"],
    )
    async def list_tasks(
        caller: CurrentUser,
        page: schemas.PageNumber = 1,
        limit: schemas.PageLimit = LIMIT_DEFAULT,
        status: TaskStatus | None = None,
        q: Annotated[
            str | None,
            Query(
                description="A part of the title or of the description, in any case.",
                json_schema_extra={
                    "minLength": 1,
                    "maxLength": SEARCH_MAX_LENGTH,
                    "pattern": patterns.BLOCK,
                },
            ),
        ] = None,
        sort: TaskSort = TaskSort.CREATED_AT_DESCENDING,
    ) -> Response:
        found = await use_cases.list_tasks(
            caller.user.id, page=page, limit=limit, status=status, q=q, sort=sort
        )
        body = {
            "data": found.tasks,
            "count": len(found.tasks),
            "total": found.total,
            "page": page,
            "limit": limit,
        }
        return json_response(body, 200, _READ_HEADERS)

    @app.post(
        "/api/tasks",
        operation_id="createTask",
        summary="Create a task",
        status_code=201,
        response_model=schemas.Task,
        responses=documented(Invalid, CrossSiteRequest, *BODY_ERRORS),
        tags=["tasks"],
    )
    async def create_task(request: Request, caller: CurrentUser, body: schemas.NewTask) -> Response:
        task = await use_cases.create_task(
            caller.user.id, title=body.title, description=body.description, status=body.status
        )
        location = f"{request.scope['root_path']}/api/tasks/{task.id}"
        return _task(task, 201, {**NO_STORE, "Location": location})

    @app.get(
        "/api/tasks/{task_id}",
        operation_id="getTask",
        summary="Get a task",
        response_model=schemas.Task,
        responses={**_UNCHANGED, **documented(*_MISSED)},
        tags=["tasks"],
    )
    async def get_task(request: Request, caller: CurrentUser, task_id: schemas.TaskId) -> Response:
        task = await use_cases.get_task(caller.user.id, task_id)
        if matches_if_none_match(task, request):
            return Response(status_code=304, headers={**_READ_HEADERS, "ETag": etag(task)})
        return _task(task, 200, _READ_HEADERS)

    async def update_task(
        request: Request, caller: CurrentUser, task_id: schemas.TaskId, body: schemas.TaskUpdate
    ) -> Response:
        task = await use_cases.update_task(
            caller.user.id,
            task_id,
            **body.model_dump(exclude_unset=True),
            expected=if_match_versions(request),
        )
        return _task(task, 200, NO_STORE)

    for method, operation_id in (("PUT", "updateTask"), ("PATCH", "patchTask")):
        app.add_api_route(
            "/api/tasks/{task_id}",
            update_task,
            methods=[method],
            operation_id=operation_id,
            summary="Update a task in part",
            response_model=schemas.Task,
            responses=documented(*_MISSED, StaleTask, CrossSiteRequest, *BODY_ERRORS),
            tags=["tasks"],
        )

    @app.patch(
        "/api/tasks/{task_id}/complete",
        operation_id="completeTask",
        summary="Toggle a task, or set it completed or not",
        response_model=schemas.Task,
        responses=documented(*_MISSED, StaleTask, CrossSiteRequest, *BODY_ERRORS),
        tags=["tasks"],
    )
    async def complete_task(
        request: Request,
        caller: CurrentUser,
        task_id: schemas.TaskId,
        body: schemas.Completion | None = None,
    ) -> Response:
        task = await use_cases.complete_task(
            caller.user.id,
            task_id,
            completed=None if body is None else body.completed,
            expected=if_match_versions(request),
        )
        return _task(task, 200, NO_STORE)

    @app.delete(
        "/api/tasks/{task_id}",
        operation_id="deleteTask",
        summary="Delete a task",
        status_code=204,
        response_description="The task is gone.",
        responses=documented(*_MISSED, StaleTask, CrossSiteRequest, MalformedRequest),
        tags=["tasks"],
    )
    async def delete_task(
        request: Request, caller: CurrentUser, task_id: schemas.TaskId
    ) -> Response:
        await use_cases.delete_task(caller.user.id, task_id, expected=if_match_versions(request))
        return Response(status_code=204, headers=NO_STORE)


def _task(task: Task, status: int, headers: Mapping[str, str]) -> Response:
    return json_response(task, status, {**headers, "ETag": etag(task)})
