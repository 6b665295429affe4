"""The commands of `taskport` in this process, and what they may change."""

import re
import subprocess
from dataclasses import dataclass

import psycopg
import pytest
from typer.testing import CliRunner

from entrypoints import cli
from tests.interop.taskport import SECRET
from tests.servers import postgres_programs


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence of a command that refused."""
        assert self.code == 1, self
        [line] = self.err.splitlines()
        assert line.startswith("taskport: "), self
        return line.removeprefix("taskport: ")


def taskport(url: str, *arguments: str, **settings: str) -> Outcome:
    """Run a command on a database. Raises what crashes it."""
    with pytest.MonkeyPatch.context() as patch:
        # The tests have configured the log of this process.
        patch.setattr("adapters.logs.process_log.configure", lambda *_: None)
        done = CliRunner().invoke(
            cli.app,
            arguments,
            env={"DATABASE_URL": url, "BETTER_AUTH_SECRET": SECRET, **settings},
        )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Outcome(done.exit_code, done.stdout, done.stderr)


def catalog(url: str) -> set[tuple[str, ...]]:
    """Every table, view, sequence, index, column and type that is not in our schema.

    And our schema itself, if it exists.
    """
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select nspname, relname, relkind::text, coalesce(attname, ''),"
            " coalesce(format_type(atttypid, atttypmod), '') from pg_namespace n"
            " left join pg_class on relnamespace = n.oid and nspname <> 'taskport'"
            " left join pg_attribute on attrelid = pg_class.oid and attnum > 0"
            " where nspname <> 'information_schema' and nspname !~ '^pg_'"
        )
        return set(found)


def their_schema(url: str) -> str:
    """All that is not in our schema as `pg_dump` writes it, without our triggers."""
    command = [
        str(postgres_programs() / "pg_dump"),
        "--schema-only",
        "--exclude-schema=taskport",
        f"--dbname={url}",
    ]
    dump = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    noise = re.compile(r"CREATE TRIGGER taskport_|--|\\(un)?restrict ")
    return "\n".join(line for line in dump.splitlines() if line and not noise.match(line))
