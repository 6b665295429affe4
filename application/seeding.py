"""Example data for development and benchmarks."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.clock import Clock
from application.ports.unit_of_work import UnitOfWorkFactory
from domain.tasks import Task, TaskDraft
from domain.users import User


@dataclass(frozen=True)
class SeedUser:
    """Create a user with tasks, atomically, by the usual rules."""

    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(
        self, *, user_id: str, email: str, name: str, drafts: Sequence[TaskDraft]
    ) -> User:
        """Raises `Invalid`, `EmailTaken`, `UnknownUser`, `Unavailable`."""
        now = self.clock.now()
        user = User.create(id=user_id, email=email, name=name, now=now)
        async with self.unit_of_work() as unit:
            user = await unit.users.add(user)
            tasks = [Task.create(draft, user_id=user.id, now=now) for draft in drafts]
            await unit.tasks.add_all(tasks)
            await unit.commit()
        return user
