"""All use cases, for the adapters that drive the service."""

from dataclasses import dataclass

from application.authentication import Authenticate, IssueDevelopmentToken
from application.seeding import SeedUser
from application.sessions import (
    EndSession,
    FindSessions,
    ListSessions,
    LogOut,
    ProlongSession,
    RefreshSession,
)
from application.sign_in import LogIn, SignUp
from application.tasks import (
    CompleteTask,
    CreateTask,
    DeleteTask,
    GetTask,
    ListTasks,
    UpdateTask,
)
from application.users import DeleteUser, RenameUser


@dataclass(frozen=True)
class UseCases:
    """One instance of each use case."""

    authenticate: Authenticate
    sign_up: SignUp
    log_in: LogIn
    find_sessions: FindSessions
    log_out: LogOut
    prolong_session: ProlongSession
    refresh_session: RefreshSession
    list_sessions: ListSessions
    end_session: EndSession
    rename_user: RenameUser
    delete_user: DeleteUser
    create_task: CreateTask
    get_task: GetTask
    list_tasks: ListTasks
    update_task: UpdateTask
    complete_task: CompleteTask
    delete_task: DeleteTask
    seed_user: SeedUser
    issue_development_token: IssueDevelopmentToken
