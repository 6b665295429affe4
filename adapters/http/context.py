"""What we know of the request at hand: its ids, kept in the ASGI scope."""

import re
import uuid
from typing import Final

from starlette.types import Scope

_REQUEST_ID: Final = "taskport.request_id"
_INSTANCE: Final = "taskport.instance"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def identify(scope: Scope) -> bytes:
    """Give a request its ids; the result is the one that the answer shows."""
    instance = str(uuid.uuid4())
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    shown = given if _SANE.fullmatch(given) else instance.encode()
    scope[_INSTANCE] = f"urn:uuid:{instance}"
    scope[_REQUEST_ID] = shown.decode("ascii")
    return shown


def request_id_of(scope: Scope) -> str:
    """The id that the caller gave, where that is sane, else one of ours."""
    found: str = scope[_REQUEST_ID]
    return found


def instance_of(scope: Scope) -> str:
    """A URN that is unique to this request."""
    found: str = scope[_INSTANCE]
    return found
