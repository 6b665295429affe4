"""ETags: entity tags and conditional requests (RFC 9110, 8.8.3 and 13.1)."""

import re
from collections.abc import Collection
from typing import Final

from fastapi import Request

from adapters.asgi.errors import MalformedRequest
from domain.tasks import Task

# etagc is any visible character but the double quote, and any byte above ASCII.
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"\s*(?:,\s*)*{_TAG}\s*(?:,\s*(?:{_TAG}\s*)?)*")
TAGS: Final = f"^{_LIST.pattern}$"
"""The pattern of a list of entity tags, for OpenAPI."""
_OUR_TAG: Final = re.compile(r'"([1-9][0-9]{0,9})"')


def etag(task: Task) -> str:
    """The entity tag of a task in its present version."""
    return f'"{task.version}"'


def if_match_versions(request: Request) -> Collection[int] | None:
    """The versions that `If-Match` names; None if it accepts any.

    A `W/` that a proxy put before our tag is ignored. Raises `MalformedRequest`.
    """
    values = request.headers.getlist("if-match")
    if not values:
        return None
    field = ", ".join(values)
    if field.strip() == "*":
        return None
    if not _LIST.fullmatch(field):
        raise MalformedRequest
    return _versions(field)


def matches_if_none_match(task: Task, request: Request) -> bool:
    """Whether `If-None-Match` names this version, so that the response is 304."""
    field = ", ".join(request.headers.getlist("if-none-match"))
    return field.strip() == "*" or (
        bool(_LIST.fullmatch(field)) and task.version in _versions(field)
    )


def _versions(field: str) -> frozenset[int]:
    return frozenset(
        int(ours[1])
        for tag in re.findall(_TAG, field)
        if (ours := _OUR_TAG.fullmatch(tag.removeprefix("W/")))
    )
