"""What we know of the request at hand: its ids, kept in the ASGI scope."""

import random
import re
import uuid
from typing import Final

from starlette.types import Scope

_REQUEST_ID: Final = "taskport.request_id"
_SANE: Final = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def identify(scope: Scope) -> bytes:
    """Give a request the id that its answer will show: the caller's where that is sane."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE.fullmatch(value):
            shown: bytes = value
            break
    else:
        # It tells requests apart and keeps no secret; real randomness costs a system call.
        shown = b"%032x" % random.getrandbits(128)
    scope[_REQUEST_ID] = shown
    return shown


def request_id_of(scope: Scope) -> str:
    """The id that the answer shows."""
    shown: bytes = scope[_REQUEST_ID]
    return shown.decode("ascii")


def new_instance() -> str:
    """A URN that is unique to one answer."""
    return f"urn:uuid:{uuid.uuid4()}"
