"""What can be done to a task, as examples and as a state machine."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.errors import Invalid
from domain.tasks import UNSTORED, Task, TaskChange, TaskDraft, TaskQuery, TaskSort, TaskStatus
from domain.validation import KEEP

NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
STATUSES = st.sampled_from(TaskStatus)


def a_task(**values: object) -> Task:
    return Task.create(TaskDraft(**{"title": "Water the plants", **values}), user_id="ann", now=NOW)  # type: ignore[arg-type]


def test_a_new_task() -> None:
    task = a_task(title=" Water ", description=" the\r\nplants ")
    assert task == Task(
        id=UNSTORED,
        user_id="ann",
        title="Water",
        description="the\nplants",
        status=TaskStatus.PENDING,
        completed_at=None,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )


def test_a_task_may_be_born_completed() -> None:
    assert a_task(status=TaskStatus.COMPLETED).completed_at == NOW


def test_all_that_is_wrong_is_reported_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        a_task(title="", description="\x00")
    assert [problem.field for problem in caught.value.problems] == ["title", "description"]


def test_a_change_of_bad_values_never_comes_to_be() -> None:
    with pytest.raises(Invalid) as caught:
        TaskChange(title="x", description="\x00")
    assert [problem.field for problem in caught.value.problems] == ["description"]


def test_null_clears_a_description_and_absence_keeps_it() -> None:
    task = a_task(description="old")
    task.update(TaskChange(title="new"), LATER)
    assert (task.title, task.description) == ("new", "old")
    task.update(TaskChange(description=None), LATER)
    assert task.description is None


def test_a_clock_that_runs_backwards_does_not_take_updated_at_with_it() -> None:
    task = a_task()
    task.complete(NOW - timedelta(minutes=5))
    assert task.updated_at == task.completed_at == NOW


def test_completing_twice_keeps_the_first_time() -> None:
    task = a_task()
    task.complete(LATER)
    task.complete(LATER + timedelta(hours=1))
    assert task.completed_at == LATER
    assert task.version == 2


def test_a_query_counts_its_offset() -> None:
    assert TaskQuery(page=3, limit=20).offset == 40


def test_every_order_names_an_attribute_of_a_task() -> None:
    for sort in TaskSort:
        assert hasattr(a_task(), sort.attribute)
        assert sort.is_descending is sort.value.startswith("-")


class TaskMachine(RuleBasedStateMachine):
    """Any history of changes leaves a task in order."""

    @initialize(status=STATUSES)
    def create(self, status: TaskStatus) -> None:
        self.now = NOW
        self.task = a_task(status=status)
        self.before = self._seen()

    def _seen(self) -> tuple[object, ...]:
        task = self.task
        return (task.title, task.description, task.status)

    def _then(self, version: int, updated_at: datetime) -> None:
        changed = self._seen() != self.before
        assert self.task.version == version + changed
        assert self.task.updated_at == (max(self.now, updated_at) if changed else updated_at)
        self.before = self._seen()

    @rule(seconds=st.integers(-10, 3_600))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        title=st.sampled_from(["a", "b"]) | st.just(KEEP),
        description=st.sampled_from(["c", "", None]) | st.just(KEEP),
        status=STATUSES | st.just(KEEP),
    )
    def update(self, title: str, description: str | None, status: TaskStatus) -> None:
        version, updated_at = self.task.version, self.task.updated_at
        self.task.update(TaskChange(title=title, description=description, status=status), self.now)
        self._then(version, updated_at)

    @rule()
    def toggle(self) -> None:
        version, updated_at, was = self.task.version, self.task.updated_at, self.task.status
        self.task.toggle(self.now)
        assert self.task.status is not was
        self._then(version, updated_at)

    @rule(completed=st.booleans())
    def set(self, completed: bool) -> None:
        version, updated_at = self.task.version, self.task.updated_at
        (self.task.complete if completed else self.task.reopen)(self.now)
        assert (self.task.status is TaskStatus.COMPLETED) is completed
        self._then(version, updated_at)

    @invariant()
    def is_in_order(self) -> None:
        task = self.task
        assert (task.completed_at is not None) is (task.status is TaskStatus.COMPLETED)
        assert task.created_at <= task.updated_at
        assert task.completed_at is None or task.completed_at <= task.updated_at


TestTaskMachine = TaskMachine.TestCase
# Each example is fifty steps; half of the usual number of them finds the same faults.
TestTaskMachine.settings = settings(max_examples=50)
