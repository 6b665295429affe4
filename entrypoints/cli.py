"""The command line: `taskport serve`, `check`, `explain` and the other commands."""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from adapters.logs import process_log
from adapters.postgres import schema
from adapters.postgres.database_problems import Severity
from adapters.postgres.grants import front_end_grants
from adapters.postgres.grants import grants as grants_of
from adapters.postgres_server.errors import EmbeddedPostgresError
from adapters.uvicorn.listener import PortTaken
from domain.errors import Invalid, TaskportError
from entrypoints import explain as explanation
from entrypoints import explain_input, inspection, seeding, serving
from entrypoints.container import build, shared_counters_are_reachable
from entrypoints.database import with_database, without_database
from entrypoints.secret_types import described
from entrypoints.setting_problems import problems
from entrypoints.settings import Settings

app = typer.Typer(
    help="The Python backend that a Better Auth front end can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. [default: API_HOST]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on. [default: API_PORT]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Number of server processes.")] = 1,
    memory: Annotated[
        bool, typer.Option("--memory", help="Keep all data in memory, without a database.")
    ] = False,
    no_migrate: Annotated[
        bool, typer.Option("--no-migrate", help="Do not migrate the schema.")
    ] = False,
) -> None:
    """Serve the API, on the embedded PostgreSQL if no DATABASE_URL is set."""
    with _exiting_with_message():
        settings = _settings(host=host, port=port)
        if memory:
            if workers > 1:
                _fail("--memory keeps all data in one process: leave out --workers")
            serving.serve_memory(settings)
        else:
            serving.serve_database(settings, workers=workers, migrate=not no_migrate)


@app.command()
def migrate() -> None:
    """Migrate the schema of the database to this version."""
    with _exiting_with_message(), with_database(_settings()) as settings:
        assert settings.direct_url is not None
        schema.migrate(settings.direct_url, options=settings.layout_options)
        typer.echo("The schema is at head.")


@app.command()
def seed(
    users: Annotated[int, typer.Option(min=1, max=10_000, help="Number of users.")] = 10,
    tasks: Annotated[int, typer.Option(min=0, max=10_000, help="Number of tasks per user.")] = 20,
    yes: Annotated[
        bool, typer.Option("--yes", help="Even if the database has users already.")
    ] = False,
) -> None:
    """Create example users and tasks in the database."""
    with _exiting_with_message():
        configured = _settings()
        with with_database(configured) as settings:
            _prepare(configured, settings)
            asyncio.run(
                seeding.seed(
                    settings,
                    users=users,
                    tasks=tasks,
                    only_if_empty=configured.url is not None and not yes,
                )
            )


@app.command()
def token(
    email: Annotated[str, typer.Argument(help="E-mail address of the user.")],
    memory: Annotated[
        bool, typer.Option("--memory", help="For `serve --memory`: use no database.")
    ] = False,
) -> None:
    """Print a development token for a user, and create the user if there is none.

    Only with the embedded database, or with DEBUG=true.
    """
    with _exiting_with_message():
        configured = _settings()
        if configured.url is not None and not configured.debug:
            _fail("tokens for a configured database are printed only with DEBUG=true")
        if not configured.shared_secret_tokens:
            _fail("SHARED_SECRET_TOKENS=false: the service would not accept such a token")
        if configured.url is not None and not configured.secrets:
            _fail("BETTER_AUTH_SECRET is not set: the service would not accept such a token")
        if memory:
            typer.echo(asyncio.run(_token(without_database(configured), email)))
            return
        with with_database(configured) as settings:
            _prepare(configured, settings)
            typer.echo(asyncio.run(_token(settings, email)))


@app.command()
def grants(
    role: Annotated[str, typer.Argument(help="The role that serves requests.")],
    front_end: Annotated[
        bool,
        typer.Option(
            "--front-end",
            help="For the role of the front end's server instead: it may call"
            " taskport.move_tasks, and nothing else.",
        ),
    ] = False,
) -> None:
    """Print the SQL that grants a role what it needs to serve requests, and nothing else."""
    with _exiting_with_message(), with_database(_settings()) as settings:
        assert settings.direct_url is not None
        layout = schema.check_ready(settings.direct_url, settings.layout_options)
        typer.echo(front_end_grants(role) if front_end else grants_of(layout, role), nl=False)


@app.command()
def forget(
    user: Annotated[str, typer.Argument(help="Id of the user.")],
) -> None:
    """Delete what a former account with this id owned, if `taskport check` names it.

    If Better Auth has its users elsewhere, delete what this user owns: a deletion there is not
    seen here.
    """
    with _exiting_with_message(), with_database(_settings()) as settings:
        asyncio.run(inspection.forget(settings, user))
        typer.echo("The account is forgotten.")


@app.command()
def explain() -> None:
    """Explain why the service accepts or refuses a credential; it is read from standard input.

    Header lines (`Cookie: …`, `Authorization: …`, `Origin: …`), a bare value, a curl command, or a
    reason from the log. Nothing is written, and no secret is printed. Exit code 0 if it could tell.
    """
    with _exiting_with_message():
        if sys.stdin is None:
            _fail("standard input is closed")
        if sys.stdin.isatty():
            typer.echo("Paste header lines or a credential, then press Ctrl-D:", err=True)
        given = sys.stdin.buffer.read(explain_input.MAX_BYTES + 1)
        if len(given) > explain_input.MAX_BYTES:
            _fail(f"standard input has more than {explain_input.MAX_BYTES} bytes")
        # As Starlette decodes headers.
        text = given.decode("latin-1")
        reason, headers = explain_input.reason_in(text), explain_input.headers_in(text)
        if reason is not None:
            typer.echo(explanation.explain_reason(reason))
            return
        if headers is None:
            _fail("standard input has no header line and no credential")
        configured = _settings()
        if _has_no_database(configured):
            _fail("there is no database yet: `taskport serve` creates one")
        with with_database(configured) as settings:
            assert settings.direct_url is not None
            schema.check_ready(settings.direct_url, settings.layout_options)
            typer.echo(asyncio.run(explanation.explain(settings, headers)))


@app.command()
def check() -> None:
    """Check the settings, the database and its schema, and say how to fix what is wrong."""
    with _exiting_with_message():
        configured = _settings()
        typer.echo("settings    fine")
        if configured.better_auth_url not in configured.cors_origins:
            typer.echo(
                f"            pages of {configured.better_auth_url} may not call this service from"
                " a browser: add it to CORS_ORIGINS, unless a rewrite brings both to one origin"
            )
        if not asyncio.run(shared_counters_are_reachable(configured)):
            typer.echo(
                "            RATE_LIMIT_STORAGE does not respond: until it does, each worker limits"
                " sign-ins for itself, and nothing else"
            )
        if _has_no_database(configured):
            typer.echo("database    none yet: `taskport serve` creates one")
            return
        with with_database(configured) as settings:
            assert settings.direct_url is not None
            typer.echo(f"secret      {described(settings.secrets)}")
            layout = schema.check_ready(settings.direct_url, settings.layout_options)
            typer.echo("database    fine, the schema is at head")
            if settings.url is not None and settings.url != settings.direct_url:
                schema.check_reachable(settings.url)
                typer.echo("pooled URL  fine")
            typer.echo(f"tables      {', '.join(str(table) for table in layout.tables)}")
            problems = asyncio.run(inspection.find_problems(configured, settings, layout))
            for problem in problems:
                if problem.severity is Severity.NOTE:
                    typer.echo(f"            {problem.message}")
            defects = [p.message for p in problems if p.severity is not Severity.NOTE]
            if defects:
                _fail(*defects)


def _has_no_database(configured: Settings) -> bool:
    return configured.url is None and not (configured.taskport_data_dir / "postgres").exists()


def _prepare(configured: Settings, settings: Settings) -> None:
    """Migrate the embedded database; only check a configured one. Raises `SchemaError`."""
    assert settings.direct_url is not None
    if configured.url is None:
        schema.migrate(settings.direct_url, options=settings.layout_options)
    else:
        schema.check_ready(settings.direct_url, settings.layout_options)


async def _token(settings: Settings, email: str) -> str:
    service = build(settings)
    async with service.running():
        return await service.use_cases.issue_development_token(email, new_id=secrets.token_hex(16))


def _settings(*, host: str | None = None, port: int | None = None) -> Settings:
    settings = Settings()
    process_log.configure(settings.effective_log_level, settings.effective_log_format)
    options = {"api_host": host, "api_port": port}
    return settings.model_copy(update={k: v for k, v in options.items() if v is not None})


@contextmanager
def _exiting_with_message() -> Iterator[None]:
    """Turn errors that an operator can fix into one sentence each and exit code 1."""
    try:
        yield
    except ValidationError as error:
        _fail(*problems(error))
    except UnicodeDecodeError:
        # The error itself would quote bytes of the file, which may contain secrets.
        _fail(".env: is not text in UTF-8")
    except Invalid as error:
        _fail(*(f"{problem.field} {problem.error}" for problem in error.problems))
    except (
        TaskportError,
        EmbeddedPostgresError,
        schema.SchemaError,
        PortTaken,
    ) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'the system'}: {error.strerror}")


def _fail(*reasons: str) -> NoReturn:
    for reason in reasons:
        typer.echo(f"taskport: {reason}", err=True)
    raise typer.Exit(1)


def main() -> None:
    app()
