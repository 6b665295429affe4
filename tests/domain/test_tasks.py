"""Tasks, with examples and as a state machine."""

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


def test_create_makes_a_pending_task_of_version_one() -> None:
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


def test_task_created_as_completed_has_a_completion_time() -> None:
    assert a_task(status=TaskStatus.COMPLETED).completed_at == NOW


def test_draft_reports_all_problems_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        a_task(title="", description="\x00")
    assert [problem.field for problem in caught.value.problems] == ["title", "description"]


def test_change_with_an_invalid_value_is_rejected() -> None:
    with pytest.raises(Invalid) as caught:
        TaskChange(title="x", description="\x00")
    assert [problem.field for problem in caught.value.problems] == ["description"]


def test_query_with_an_invalid_search_text_is_rejected() -> None:
    for q in ("", "\x00", "x" * 201):
        with pytest.raises(Invalid) as caught:
            TaskQuery(q=q)
        assert [problem.field for problem in caught.value.problems] == ["q"]


def test_none_clears_the_description_and_keep_leaves_it() -> None:
    task = a_task(description="old")
    task.update(TaskChange(title="new"), LATER)
    assert (task.title, task.description) == ("new", "old")
    task.update(TaskChange(description=None), LATER)
    assert task.description is None


def test_updated_at_does_not_go_back_with_the_clock() -> None:
    task = a_task()
    task.complete(NOW - timedelta(minutes=5))
    assert task.updated_at == task.completed_at == NOW


def test_completing_twice_keeps_the_first_completion_time() -> None:
    task = a_task()
    task.complete(LATER)
    task.complete(LATER + timedelta(hours=1))
    assert task.completed_at == LATER
    assert task.version == 2


def test_query_computes_its_offset() -> None:
    assert TaskQuery(page=3, limit=20).offset == 40


def test_every_sort_names_an_attribute_of_a_task() -> None:
    for sort in TaskSort:
        assert hasattr(a_task(), sort.attribute)
        assert sort.is_descending is sort.value.startswith("-")


class TaskMachine(RuleBasedStateMachine):
    """Any sequence of changes leaves the task consistent."""

    @initialize(status=STATUSES)
    def create(self, status: TaskStatus) -> None:
        self.now = NOW
        self.task = a_task(status=status)
        self.before = self._values()

    def _values(self) -> tuple[object, ...]:
        task = self.task
        return (task.title, task.description, task.status)

    def _check(self, version: int, updated_at: datetime) -> None:
        changed = self._values() != self.before
        assert self.task.version == version + changed
        assert self.task.updated_at == (max(self.now, updated_at) if changed else updated_at)
        self.before = self._values()

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
        self._check(version, updated_at)

    @rule()
    def toggle(self) -> None:
        version, updated_at, was = self.task.version, self.task.updated_at, self.task.status
        self.task.toggle(self.now)
        assert self.task.status is not was
        self._check(version, updated_at)

    @rule(completed=st.booleans())
    def set(self, completed: bool) -> None:
        version, updated_at = self.task.version, self.task.updated_at
        (self.task.complete if completed else self.task.reopen)(self.now)
        assert (self.task.status is TaskStatus.COMPLETED) is completed
        self._check(version, updated_at)

    @invariant()
    def is_consistent(self) -> None:
        task = self.task
        assert (task.completed_at is not None) is (task.status is TaskStatus.COMPLETED)
        assert task.created_at <= task.updated_at
        assert task.completed_at is None or task.completed_at <= task.updated_at


TestTaskMachine = TaskMachine.TestCase
# Each example has fifty steps, so half the usual number of examples is enough.
TestTaskMachine.settings = settings(max_examples=50)
