"""The banner that `taskport serve` prints at start: its address, database and first steps."""

import shlex
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from entrypoints.generated_secret import secret_file
from entrypoints.secret_types import described
from entrypoints.settings import Settings

_EVERY_ADDRESS: Final = ("0.0.0.0", "::")  # noqa: S104


def in_memory(settings: Settings, port: int) -> str:
    """The banner of a service without a database."""
    return _banner(
        settings,
        port,
        database="in memory: lost when this process ends",
        first='TOKEN="$(.venv/bin/taskport token --memory ann@example.com)"',
    )


def on_postgres(configured: Settings, settings: Settings, port: int) -> str:
    """The banner of a service with PostgreSQL; contains no password.

    `configured` are the settings as they were read, `settings` those with a database.
    """
    connection = conninfo_to_dict(settings.url or "")
    if configured.url is not None:
        return _banner(
            settings,
            port,
            database=f"PostgreSQL at {connection.get('host', 'the default host')}",
            first='TOKEN="$(.venv/bin/taskport token ann@example.com)"'
            if configured.debug
            else 'TOKEN="..."   (a token signed by your front end\'s server)',
        )
    folder = configured.taskport_data_dir.resolve()
    url = "postgresql://{user}@{host}:{port}/{dbname}".format_map(connection)
    shared = {"DATABASE_URL": folder / "database-url"}
    if not configured.secrets:
        # Else the file is missing, or has another secret.
        shared["BETTER_AUTH_SECRET"] = secret_file(configured)
    variables = "".join(f"\n               {_from_file(*item)}" for item in shared.items())
    return _banner(
        settings,
        port,
        database=f"""PostgreSQL 18, embedded, {url}
             its data is in {folder / "postgres"}
             to share it with a Better Auth server:{variables}""",
        first='TOKEN="$(.venv/bin/taskport token ann@example.com)"',
    )


def _from_file(name: str, path: Path) -> str:
    """A line for a shell that sets a variable to the content of a file."""
    return f'{name}="$(cat {shlex.quote(str(path))})"'


def _banner(settings: Settings, port: int, *, database: str, first: str) -> str:
    host = "localhost" if settings.api_host in _EVERY_ADDRESS else settings.api_host
    origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    return f"""
Taskport     {origin}   (documentation: {origin}/docs)
Database     {database}
Secret       {described(settings.secrets)}
First steps  {first}
             curl -i {origin}/api/tasks -H "Authorization: Bearer $TOKEN"
Stop         Ctrl-C
"""
