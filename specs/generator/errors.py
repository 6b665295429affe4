"""The tables of error codes and of reasons of refusals, and the tree of error classes."""

from collections.abc import Iterator

from adapters.asgi.errors import WireError
from adapters.asgi.problems import INTERNAL_ERROR, INTERNAL_ERROR_MESSAGE
from adapters.http.errors import STATUSES, status_of
from domain.errors import TaskportError
from domain.refusals import Reason
from entrypoints.cures import CURES
from specs.generator.markdown import code, table
from specs.generator.modules import import_all, sentence
from specs.generator.source import comments_of

Error = type[TaskportError] | type[WireError]


def error_codes() -> str:
    """Every code, by status; a class without a code of its own has that of its base."""
    import_all()
    rows = [
        (code(kind.code), str(_status(kind)), code(kind.__name__), kind.message, sentence(kind))
        for base in (TaskportError, WireError)
        for kind in _below(base)
        if "code" in vars(kind)
    ]
    rows.append((code(INTERNAL_ERROR), "500", "", INTERNAL_ERROR_MESSAGE, "Any other exception."))
    header = ("Code", "Status", "Class", "Message", "Meaning")
    return table(header, sorted(rows, key=lambda row: (row[1], row[0])))


def refusal_reasons() -> str:
    """Every reason of a 401 or 403, and what mends it."""
    comments = comments_of(Reason)
    return table(
        ("Reason", "Meaning", "Cure"),
        ((code(reason.value), comments[reason.name], CURES[reason]) for reason in Reason),
    )


def error_classes() -> str:
    """The tree of the classes with the status of each category."""
    import_all()
    return "\n".join(["```text", *_tree(TaskportError), *_tree(WireError), "```"])


def _below(kind: Error) -> Iterator[Error]:
    for child in _children(kind):
        yield child
        yield from _below(child)


def _children(kind: Error) -> list[Error]:
    """The subclasses by name, without those that a test defines."""
    found = [kind for kind in kind.__subclasses__() if not kind.__module__.startswith("tests.")]
    return sorted(found, key=lambda kind: kind.__name__)


def _tree(kind: Error) -> Iterator[str]:
    has_status = kind in STATUSES or (issubclass(kind, WireError) and "status" in vars(kind))
    yield f"{kind.__name__} {_status(kind)}" if has_status else kind.__name__
    children = _children(kind)
    for child in children:
        first, *rest = _tree(child)
        is_last = child is children[-1]
        yield ("└── " if is_last else "├── ") + first
        yield from (("    " if is_last else "│   ") + line for line in rest)


def _status(kind: Error) -> int:
    return kind.status if issubclass(kind, WireError) else status_of(kind)
