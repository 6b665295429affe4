"""The problems of a database, as `taskport check` and the log report them."""

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How bad a problem is."""

    #: Worth knowing.
    NOTE = 0
    #: Some requests fail, or something that the service promises does not happen.
    DEFECT = 1
    #: No request succeeds.
    FAILURE = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, in a sentence for the operator, with its cure."""

    severity: Severity
    message: str
