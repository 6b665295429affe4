"""Example data, for development and for measurements."""

from collections.abc import Sequence
from dataclasses import dataclass

from application.ports.clock import Clock
from application.ports.unit_of_work import UnitOfWorkFactory
from domain.tasks import Task, TaskStatus
from domain.users import User


@dataclass(frozen=True)
class SeedUser:
    """A new user with tasks of their own, all or nothing."""

    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(
        self, *, user_id: str, email: str, name: str, tasks: Sequence[tuple[str, TaskStatus]]
    ) -> User:
        """`tasks` are titles and statuses.

        Raises `Invalid`, `EmailTaken`, `UnknownUser`, `Unavailable`.
        """
        now = self.clock.now()
        user = User.create(id=user_id, email=email, name=name, now=now)
        new = [
            Task.create(user_id=user.id, title=title, status=status, now=now)
            for title, status in tasks
        ]
        async with self.unit_of_work() as unit:
            await unit.users.add(user, issued_at=now)
            await unit.tasks.add_all(new)
            await unit.commit()
        return user
