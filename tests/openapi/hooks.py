"""What the configuration of schemathesis cannot say. It imports this module by itself."""

import os
import uuid
from typing import Any

import jwt
import schemathesis
from schemathesis import Case, HookContext

from tests.processes.service import signed_token

_SECRET = os.environ["BETTER_AUTH_SECRET"]


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
    """Whoever deletes the account is somebody who is new, and not who asks all the rest.

    An account that was deleted stays deleted, and with it would go every task that was made
    before, so that the rest of the run would find next to nothing. The newcomer is made at first
    sight of a token of the front end's server. A request that shows no token of a user, or a
    wrong one, goes as it is.
    """
    deletes = case.operation.label == "DELETE /api/users/me" and case.method == "DELETE"
    if deletes and _is_ours(case.headers.get("Authorization", "")):
        case.headers["Authorization"] = f"Bearer {signed_token(uuid.uuid4().hex, _SECRET)}"


@schemathesis.hook
def filter_body(context: HookContext, body: object) -> bool:
    """Leaves out passwords with a character above U+FFFF.

    A schema counts a length in code points, and this one is counted in UTF-16 code units, as
    Better Auth does it: near the bounds the two would not agree on these.
    """
    password = body.get("password") if isinstance(body, dict) else None
    return not (isinstance(password, str) and any(character > "\uffff" for character in password))


def _is_ours(shown: str) -> bool:
    try:
        jwt.decode(
            shown.removeprefix("Bearer "), _SECRET, algorithms=["HS256"], audience="taskport"
        )
    except jwt.InvalidTokenError:
        return False
    return True
