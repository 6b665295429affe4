"""The command line: `taskport serve`, `migrate`, `seed`, `token`, `check`."""

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from adapters.logs import configuration as logs
from adapters.postgres import schema
from adapters.postgres_server.errors import EmbeddedPostgresError
from domain.errors import Invalid, TaskportError
from entrypoints import seeding, serving
from entrypoints.container import build, shared_counters_answer
from entrypoints.database import with_database, without_database
from entrypoints.settings import Settings, problems

app = typer.Typer(
    help="The Python backend that a Better Auth front end can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Where to listen. [default: API_HOST]")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Which port. [default: API_PORT]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many processes.")] = 1,
    memory: Annotated[
        bool, typer.Option("--memory", help="Keep everything in memory; no database at all.")
    ] = False,
    no_migrate: Annotated[
        bool, typer.Option("--no-migrate", help="Leave the schema as it is.")
    ] = False,
) -> None:
    """Serve the API, on the embedded PostgreSQL where no DATABASE_URL is set."""
    with _failing_clearly():
        settings = _settings(host=host, port=port)
        if memory:
            if workers > 1:
                _fail("--memory keeps everything in one process: leave out --workers")
            serving.serve_memory(settings)
        else:
            serving.serve_database(settings, workers=workers, migrate=not no_migrate)


@app.command()
def migrate() -> None:
    """Bring the schema of the database to this version."""
    with _failing_clearly(), with_database(_settings()) as settings:
        assert settings.direct_url is not None
        schema.migrate(settings.direct_url)
        typer.echo("The schema is at head.")


@app.command()
def seed(
    users: Annotated[int, typer.Option(min=1, max=10_000, help="How many users.")] = 10,
    tasks: Annotated[int, typer.Option(min=0, max=10_000, help="How many tasks each.")] = 20,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also into a database that has users already.")
    ] = False,
) -> None:
    """Fill the database with example users and tasks."""
    with _failing_clearly():
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
    email: Annotated[str, typer.Argument(help="Whose token.")],
    memory: Annotated[
        bool, typer.Option("--memory", help="For `serve --memory`: no database is asked.")
    ] = False,
) -> None:
    """Print a development token for a user, who is created where missing.

    Only with the embedded database, or with DEBUG=true.
    """
    with _failing_clearly():
        configured = _settings()
        if configured.url is not None and not configured.debug:
            _fail("tokens for a configured database are printed only with DEBUG=true")
        if not configured.shared_secret_tokens:
            _fail("SHARED_SECRET_TOKENS=false: the service would not accept such a token")
        if memory:
            typer.echo(asyncio.run(_token(without_database(configured), email)))
            return
        with with_database(configured) as settings:
            _prepare(configured, settings)
            typer.echo(asyncio.run(_token(settings, email)))


@app.command()
def check() -> None:
    """Say what is wrong with the settings, the database and its schema, and how to mend it."""
    with _failing_clearly():
        configured = _settings()
        typer.echo("settings    fine")
        if configured.better_auth_url not in configured.cors_origins:
            typer.echo(
                f"            pages of {configured.better_auth_url} may not call this service from"
                " a browser: add it to CORS_ORIGINS, unless a rewrite brings both to one origin"
            )
        if not asyncio.run(shared_counters_answer(configured)):
            typer.echo(
                "            RATE_LIMIT_STORAGE does not answer: until it does, each worker limits"
                " sign-ins for itself, and nothing else"
            )
        if configured.url is None and not (configured.taskport_data_dir / "postgres").exists():
            typer.echo("database    none yet: `taskport serve` makes one")
            return
        with with_database(configured) as settings:
            assert settings.direct_url is not None
            schema.check_ready(settings.direct_url)
            typer.echo("database    fine, the schema is at head")
            if settings.url is not None and settings.url != settings.direct_url:
                schema.check_reachable(settings.url)
                typer.echo("pooled URL  fine")


def _prepare(configured: Settings, settings: Settings) -> None:
    """Our own database is brought to head; one of somebody else's is left as it is.

    Raises `SchemaError`.
    """
    assert settings.direct_url is not None
    if configured.url is None:
        schema.migrate(settings.direct_url)
    else:
        schema.check_ready(settings.direct_url)


async def _token(settings: Settings, email: str) -> str:
    service = build(settings)
    async with service.running():
        return await service.use_cases.issue_development_token(email, new_id=secrets.token_hex(16))


def _settings(*, host: str | None = None, port: int | None = None) -> Settings:
    settings = Settings()
    logs.configure(settings.effective_log_level, settings.effective_log_format)
    given = {"api_host": host, "api_port": port}
    return settings.model_copy(update={k: v for k, v in given.items() if v is not None})


@contextmanager
def _failing_clearly() -> Iterator[None]:
    """Turn what an operator can mend into one sentence and exit code 1."""
    try:
        yield
    except ValidationError as error:
        _fail(*problems(error))
    except UnicodeDecodeError:
        # The error itself would quote a part of what may be a secret.
        _fail(".env: is not text in UTF-8")
    except Invalid as error:
        _fail(*(f"{problem.field} {problem.error}" for problem in error.problems))
    except (
        TaskportError,
        EmbeddedPostgresError,
        schema.SchemaError,
        serving.PortTaken,
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
