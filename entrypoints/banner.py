"""What `taskport serve` says to whoever started it: where it listens, and what to do next."""

import shlex
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from entrypoints.generated_secret import secret_file
from entrypoints.settings import Settings

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104


def in_memory(settings: Settings, port: int) -> str:
    return _greeting(
        settings,
        port,
        database="in memory: it is gone when this process ends",
        first='TOKEN="$(.venv/bin/taskport token --memory ann@example.com)"',
    )


def on_postgres(configured: Settings, settings: Settings, port: int) -> str:
    """`configured` is what was set, `settings` what became of it. No password is in the result."""
    said = conninfo_to_dict(settings.url or "")
    if configured.url is not None:
        return _greeting(
            settings,
            port,
            database=f"PostgreSQL at {said.get('host', 'the default host')}",
            first='TOKEN="$(.venv/bin/taskport token ann@example.com)"'
            if configured.debug
            else 'TOKEN="..."   (that your front end\'s server has signed)',
        )
    folder = configured.taskport_data_dir.resolve()
    url = f"postgresql://{said['user']}@{said['host']}:{said['port']}/{said['dbname']}"
    return _greeting(
        settings,
        port,
        database=f"""PostgreSQL 18, embedded, {url}
             its data is in {folder / "postgres"}
             a Better Auth server shares it, and the secret, with
               DATABASE_URL="$(cat {shlex.quote(str(folder / "database-url"))})"
               BETTER_AUTH_SECRET="$(cat {shlex.quote(str(secret_file(configured)))})\"""",
        first='TOKEN="$(.venv/bin/taskport token ann@example.com)"',
    )


def _greeting(settings: Settings, port: int, *, database: str, first: str) -> str:
    host = "localhost" if settings.api_host in _EVERY_ADDRESS else settings.api_host
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"""
Taskport     {origin}   (documentation: {origin}/docs)
Database     {database}
First steps  {first}
             curl -i {origin}/api/tasks -H "Authorization: Bearer $TOKEN"
Stop         Ctrl-C
"""
