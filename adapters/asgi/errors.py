"""Errors of HTTP itself, which the domain knows nothing of."""

from typing import ClassVar

from starlette.exceptions import HTTPException

from adapters.asgi.problems import MALFORMED_MESSAGE, MALFORMED_REQUEST
from domain.refusals import Refusal


class WireError(HTTPException):
    """An error of HTTP itself. `status`, `code` and `message` are those of its response."""

    status: ClassVar[int]
    code: ClassVar[str]
    message: ClassVar[str]
    #: Why the request is refused, of a 401 or 403.
    refusal: Refusal | None = None

    def __init__(self, headers: dict[str, str] | None = None) -> None:
        super().__init__(self.status, self.message, headers)


class MalformedRequest(WireError):
    """The body is not JSON that all parsers read alike, `If-Match` is not a list of tags,
    `ALLOWED_HOSTS` lacks the host, or a body follows `Upgrade`.
    """

    status = 400
    code = MALFORMED_REQUEST
    message = MALFORMED_MESSAGE


class MethodNotAllowed(WireError):
    """The path does not support the method."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    message = "This path does not support the method."


class RequestTimeout(WireError):
    """The body took longer than 8 seconds."""

    status = 408
    code = "REQUEST_TIMEOUT"
    message = "The body did not arrive in time."


class BodyTooLarge(WireError):
    """The body has more than 64 KiB."""

    status = 413
    code = "BODY_TOO_LARGE"
    message = "The body is too large."


class UnsupportedMediaType(WireError):
    """The body is not declared as JSON in UTF-8, or is compressed."""

    status = 415
    code = "UNSUPPORTED_MEDIA_TYPE"
    message = "The body must be application/json in UTF-8, and not compressed."
