"""Lists the errors of the settings, for people."""

from pydantic import ValidationError


def problems(error: ValidationError) -> list[str]:
    """The errors of the settings, one line each, without values."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        reason = problem["msg"].removeprefix("Value error, ")
        name = "_".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{name} {reason[0].lower()}{reason[1:]}" if name else reason)
    return lines
