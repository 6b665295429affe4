"""Checks the URLs under which this service asks others for keys and sessions."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from adapters.better_auth.plain_http import Network, network_of
from adapters.postgres.database_problems import Problem, Severity
from domain.errors import Unavailable
from entrypoints.container import foreign_sessions_of
from entrypoints.settings import Settings

#: Schemes without encryption, and those to use instead.
_ENCRYPTED = {"http": "https", "redis": "rediss"}


async def find_url_problems(settings: Settings) -> list[Problem]:
    """An attacker on the way of plain http can replace keys and sessions, and become any user."""
    problems = [problem for url in _urls(settings) if (problem := await _problem_of(*url))]
    # One variable may name both.
    return list(dict.fromkeys(problems))


async def find_session_problems(settings: Settings) -> list[Problem]:
    """Whether sessions that are elsewhere can be found."""
    sessions = foreign_sessions_of(settings)
    if sessions is None:
        return []
    try:
        await sessions.ping()
    except Unavailable:
        # The URL of a Redis may have a password.
        place = (
            f"Better Auth does not respond at {settings.sessions_url}"
            if settings.has_remote_sessions
            else f"Redis does not respond at {urlsplit(settings.better_auth_sessions).hostname}"
        )
        message = f"BETTER_AUTH_SESSIONS: {place}: until it does, sessions are 503"
        return [Problem(Severity.DEFECT, message)]
    finally:
        await sessions.close()
    return []


def _urls(settings: Settings) -> Iterator[tuple[str, str]]:
    """The URLs, each with the name of its variable."""
    if settings.jwks_url is not None:
        is_set = settings.better_auth_jwks_url is not None
        yield ("BETTER_AUTH_JWKS_URL" if is_set else "BETTER_AUTH_URL"), settings.jwks_url
    if settings.better_auth_sessions == "remote":
        yield "BETTER_AUTH_URL", settings.sessions_url
    elif settings.is_sign_in_elsewhere:
        yield "BETTER_AUTH_SESSIONS", settings.better_auth_sessions


async def _problem_of(name: str, text: str) -> Problem | None:
    url = urlsplit(text)
    if url.scheme not in _ENCRYPTED or url.hostname is None:
        return None
    try:
        network = await network_of(url.hostname)
    except OSError:
        return Problem(Severity.NOTE, f"{name}: the host {url.hostname} has no address here")
    match network:
        case Network.LOOPBACK:
            return None
        case Network.PRIVATE:
            message = f"{name} is plain {url.scheme}: right only in a network that you trust"
            return Problem(Severity.NOTE, message)
        case Network.PUBLIC:
            encrypted = _ENCRYPTED[url.scheme]
            message = f"{name} must be {encrypted}: {url.hostname} has a public address"
            return Problem(Severity.DEFECT, message)
