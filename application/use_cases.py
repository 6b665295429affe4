"""All that the service can do, for whoever drives it."""

from dataclasses import dataclass

from application.identity import Authenticate, IssueDevelopmentToken
from application.seeding import SeedUser
from application.tasks import (
    CompleteTask,
    CreateTask,
    DeleteTask,
    GetTask,
    ListTasks,
    UpdateTask,
)


@dataclass(frozen=True)
class UseCases:
    """One of each, ready to be called."""

    authenticate: Authenticate
    create_task: CreateTask
    get_task: GetTask
    list_tasks: ListTasks
    update_task: UpdateTask
    complete_task: CompleteTask
    delete_task: DeleteTask
    seed_user: SeedUser
    issue_development_token: IssueDevelopmentToken
