"""Creates example users and tasks, several users at a time, with a progress bar."""

import asyncio
import random
import secrets
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from domain.errors import TaskportError
from domain.tasks import TaskDraft, TaskStatus
from entrypoints.container import Service, build
from entrypoints.settings import Settings

_CONCURRENT_USERS: Final = 4
_VERBS: Final = ("Water", "Call", "Draft", "Review", "Order", "Plan", "Mend", "Clean", "Book")
_NOUNS: Final = (
    "the plants",
    "the landlord",
    "the offer",
    "the pull request",
    "new filters",
    "the summer trip",
    "the bicycle",
    "the kitchen",
    "a table for two",
)


class NotEmpty(TaskportError):
    message = "this database has users already: use --yes to add to them"


async def seed(settings: Settings, *, users: int, tasks: int, only_if_empty: bool) -> None:
    """Create users with tasks.

    Raises `NotEmpty` if there are users already and `only_if_empty` is set.
    """
    service = build(settings)
    async with service.running():
        if only_if_empty and await service.users.exists():
            raise NotEmpty
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("tasks", total=users * tasks)
            numbers = iter(range(users))

            async def create_users() -> None:
                for _ in numbers:
                    await _create_user(service, tasks)
                    progress.advance(bar, tasks)

            async with asyncio.TaskGroup() as group:
                for _ in range(_CONCURRENT_USERS):
                    group.create_task(create_users())
    Console(stderr=True).print(f"{users} users with {tasks} tasks each.")


async def _create_user(service: Service, tasks: int) -> None:
    user_id = secrets.token_hex(16)
    name = f"Seed {user_id[:6]}"
    await service.use_cases.seed_user(
        user_id=user_id,
        email=f"seed-{user_id[:12]}@example.com",
        name=name,
        drafts=[_draft(number) for number in range(1, tasks + 1)],
    )


def _draft(number: int) -> TaskDraft:
    # Example data, not secrets.
    verb, noun = random.choice(_VERBS), random.choice(_NOUNS)  # noqa: S311
    status = random.choice(tuple(TaskStatus))  # noqa: S311
    return TaskDraft(title=f"{verb} {noun} ({number})", status=status)
