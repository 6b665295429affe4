"""`taskport token`, `seed`, `check` and `migrate`: what they do, and what they reject.

The output of each command is searched for secrets.
"""

import re
from collections.abc import Iterator

import jwt
import psycopg
import pytest

from adapters.postgres_server.loopback import free_port
from entrypoints.secret_types import fingerprint
from tests.processes.service import (
    SECRET,
    Environment,
    Home,
    Outcome,
    error_message,
    new_home,
)

PASSWORD = "canary-Xq7-password"
NOWHERE = f"postgresql://ann:{PASSWORD}@127.0.0.1:1/app"


class Cli:
    """Runs commands with these settings, and asserts that they print no secret."""

    def __init__(self, home: Home, settings: Environment) -> None:
        self.home = home
        self.settings = settings

    def __call__(self, *arguments: str, **settings: str) -> Outcome:
        env = {**self.settings, **settings}
        done = self.home.run(*arguments, env=env)
        for secret in (PASSWORD, env.get("BETTER_AUTH_SECRET")):
            assert not secret or secret not in done.out + done.err
        assert "Traceback" not in done.err
        return done


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as home:
        yield home


@pytest.fixture
def cli(home: Home) -> Cli:
    """Commands without settings but those of a test."""
    return Cli(home, {})


@pytest.fixture
def configured(home: Home, database_url: str) -> Cli:
    """Commands on a migrated database."""
    return Cli(home, {"DATABASE_URL": database_url, "BETTER_AUTH_SECRET": SECRET})


@pytest.fixture
def unmigrated(home: Home, empty_database_url: str) -> Cli:
    """Commands on an empty database."""
    return Cli(home, {"DATABASE_URL": empty_database_url, "BETTER_AUTH_SECRET": SECRET})


def count_rows(url: str) -> tuple[int, int]:
    """The number of users, and the number of tasks."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            'select (select count(*) from public."user"), (select count(*) from taskport.tasks)'
        ).fetchone()
        assert row is not None
        return row[0], row[1]


@pytest.mark.postgres
def test_token_is_one_line_and_is_accepted(configured: Cli) -> None:
    """Two tokens for one address, in any case, are of the same user."""
    first = configured("token", "ann@example.com", DEBUG="true")
    second = configured("token", "Ann@Example.COM", DEBUG="true")

    tokens = [done.out.removesuffix("\n") for done in (first, second)]
    assert all(len(token.split()) == 1 and token.count(".") == 2 for token in tokens)
    subjects = {jwt.decode(t, SECRET, algorithms=["HS256"])["sub"] for t in tokens}
    assert len(subjects) == 1
    assert count_rows(configured.settings["DATABASE_URL"]) == (1, 0)
    with configured.home.serving(env=configured.settings) as service:
        for token in tokens:
            service.create(token, "by a printed token")
        assert service.titles(tokens[0]) == {"by a printed token"}


@pytest.mark.postgres
def test_token_for_a_configured_database_needs_debug(configured: Cli) -> None:
    """It prevents tokens for users of a live service by accident."""
    done = configured("token", "ann@example.com")

    assert "DEBUG=true" in error_message(done)
    assert done.out == ""
    assert count_rows(configured.settings["DATABASE_URL"]) == (0, 0)


def test_token_that_would_not_be_accepted_is_not_created(cli: Cli) -> None:
    """Nor is a database."""
    done = cli("token", "ann@example.com", SHARED_SECRET_TOKENS="false")

    assert "SHARED_SECRET_TOKENS" in error_message(done)
    assert not cli.home.data.exists()


@pytest.mark.postgres
def test_token_needs_a_valid_address(configured: Cli) -> None:
    """The message names the field."""
    done = configured("token", "ann.example.com", DEBUG="true")

    assert error_message(done).startswith("email ")
    assert done.out == ""


@pytest.mark.postgres
def test_seed_needs_yes_for_a_database_in_use(configured: Cli) -> None:
    """But not for an empty one."""
    url = configured.settings["DATABASE_URL"]
    first = configured("seed", "--users", "3", "--tasks", "5")
    assert first.code == 0, first.err
    assert count_rows(url) == (3, 15)

    assert "--yes" in error_message(configured("seed", "--users", "2", "--tasks", "1"))
    assert count_rows(url) == (3, 15)

    added = configured("seed", "--users", "2", "--tasks", "1", "--yes")
    assert added.code == 0, added.err
    assert count_rows(url) == (5, 17)


@pytest.mark.postgres
def test_seed_adds_to_the_embedded_database(cli: Cli) -> None:
    """Without --yes: it has only data of the developer."""
    for _ in range(2):
        done = cli("seed", "--users", "1", "--tasks", "0")
        assert done.code == 0, done.err

    cli.home.start_postgres()
    assert count_rows(cli.home.database_url()) == (2, 0)


@pytest.mark.postgres
@pytest.mark.parametrize("name", ["BETTER_AUTH_URL", "BETTER_AUTH_JWKS_URL"])
@pytest.mark.parametrize(
    ("host", "code", "words"),
    [
        ("127.0.0.1:3000", 0, None),
        ("10.1.2.3:3000", 0, "is plain http: right only in a network that you trust"),
        ("nowhere.invalid", 0, "the host nowhere.invalid has no address here"),
        ("8.8.8.8", 1, "must be https: 8.8.8.8 has a public address"),
    ],
)
def test_check_examines_where_keys_come_from(
    configured: Cli, name: str, host: str, code: int, words: str | None
) -> None:
    done = configured("check", **{name: f"http://{host}"})
    assert done.code == code, done.err
    [*found] = [line for line in (done.out + done.err).splitlines() if f" {name}" in line]
    found = [line for line in found if "CORS_ORIGINS" not in line]
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("sessions", "code", "words"),
    [
        ("http://127.0.0.1:9/api/auth", 1, "Better Auth does not respond"),
        ("http://8.8.8.8/api/auth", 1, "must be https: 8.8.8.8 has a public address"),
        ("redis://:canary@8.8.8.8:1/0", 1, "must be rediss: 8.8.8.8 has a public address"),
        ("redis://:canary@127.0.0.1:9/0", 1, "Redis does not respond"),
        ("redis://:canary@nowhere.invalid:1/0", 1, "the host nowhere.invalid has no address here"),
    ],
)
def test_check_examines_where_sessions_are(
    configured: Cli, sessions: str, code: int, words: str
) -> None:
    done = configured("check", BETTER_AUTH_SESSIONS=sessions)
    assert done.code == code, done.err
    lines = (done.out + done.err).splitlines()
    assert any(" BETTER_AUTH_SESSIONS" in line and words in line for line in lines), lines
    assert "canary" not in done.out + done.err


@pytest.mark.postgres
def test_forget_deletes_a_user_whom_only_sessions_introduced(unmigrated: Cli) -> None:
    """Better Auth is not on this database: nobody else's row goes."""
    remote = Cli(unmigrated.home, {**unmigrated.settings, "BETTER_AUTH_SESSIONS": "remote"})
    url = remote.settings["DATABASE_URL"]
    for command in (("migrate",), ("seed", "--users", "2", "--tasks", "3")):
        done = remote(*command)
        assert done.code == 0, done.err
    with psycopg.connect(url, autocommit=True) as connection:
        ids = connection.execute('select id from taskport."user" order by 1').fetchall()
        forgotten, kept = (row[0] for row in ids)
        assert remote("forget", forgotten).code == 0
        assert connection.execute('select id from taskport."user"').fetchall() == [(kept,)]
        owners = connection.execute("select distinct user_id from taskport.tasks").fetchall()
        assert owners == [(kept,)]
    assert "no former account" in error_message(remote("forget", forgotten))


@pytest.mark.postgres
def test_check_needs_no_secret_for_remote_sessions(configured: Cli) -> None:
    done = configured("check", BETTER_AUTH_SESSIONS="remote", BETTER_AUTH_SECRET="")
    assert "secret      none: Better Auth alone has it" in done.out
    assert "BETTER_AUTH_SECRET must be set" in configured("check", BETTER_AUTH_SECRET="").err


@pytest.mark.postgres
def test_check_prints_no_query_of_the_url_of_keys(configured: Cli) -> None:
    """It may have a key of an API gateway."""
    with psycopg.connect(configured.settings["DATABASE_URL"]) as connection:
        connection.execute("drop table public.jwks")
    done = configured("check", BETTER_AUTH_JWKS_URL="https://keys.example.com/jwks?key=canary")
    assert "keys come from https://keys.example.com/jwks\n" in done.out
    assert "canary" not in done.out + done.err


@pytest.mark.postgres
def test_check_reports_fine_settings_and_databases(configured: Cli) -> None:
    """Both URLs, if there are two."""
    url = configured.settings["DATABASE_URL"]

    done = configured("check", DATABASE_DIRECT_URL=f"{url}?application_name=direct")

    assert done.code == 0, done.err
    assert done.err == ""
    lines = [re.split(" {2,}", line) for line in done.out.splitlines()]
    secret = lines.pop(1)
    assert secret == [
        "secret",
        f"fingerprint {fingerprint(configured.settings['BETTER_AUTH_SECRET'])}",
    ]
    *fine, (subject, tables), note = lines
    assert [subject for subject, _ in fine] == ["settings", "database", "pooled URL"]
    assert all(verdict.startswith("fine") for _, verdict in fine)
    assert (subject, tables.split(", ")[0]) == ("tables", '"public"."user"')
    assert note[1].startswith("Taskport created Better Auth's tables")


@pytest.mark.postgres
def test_check_advises_to_migrate(unmigrated: Cli) -> None:
    """It changes nothing itself, and succeeds after the migration."""
    done = unmigrated("check")
    assert "`taskport migrate`" in error_message(done)
    assert "settings    fine" in done.out
    with psycopg.connect(unmigrated.settings["DATABASE_URL"]) as connection:
        assert connection.execute("select to_regnamespace('taskport')").fetchone() == (None,)

    assert unmigrated("migrate").code == 0
    assert unmigrated("check").code == 0


@pytest.mark.postgres
def test_check_reports_a_foreign_schema(unmigrated: Cli) -> None:
    """Tables with the names of Better Auth's, and with other columns."""
    with psycopg.connect(unmigrated.settings["DATABASE_URL"]) as connection:
        connection.execute('create table public."session" (id text primary key)')

    assert '"public"."session" could be' in error_message(unmigrated("check"))


@pytest.mark.postgres
def test_check_reports_a_rejected_password(configured: Cli) -> None:
    """The message has the user name, and not the password."""
    url = configured.settings["DATABASE_URL"]
    scheme, _, rest = url.partition("//")

    done = configured("check", DATABASE_URL=f"{scheme}//ann:{PASSWORD}@{rest.partition('@')[2]}")

    assert '"ann"' in error_message(done)


@pytest.mark.postgres
def test_check_reports_an_unreachable_pooler(configured: Cli) -> None:
    """The direct URL alone does not suffice for `serve`."""
    direct = configured.settings["DATABASE_URL"]

    done = configured("check", DATABASE_URL=NOWHERE, DATABASE_DIRECT_URL=direct)

    assert "the database does not respond" in error_message(done)
    assert "the schema is at head" in done.out


def test_check_reports_an_unreachable_database(cli: Cli) -> None:
    """The message has its port."""
    port = free_port()
    url = f"postgresql://ann:{PASSWORD}@127.0.0.1:{port}/app"

    done = cli("check", DATABASE_URL=url, BETTER_AUTH_SECRET=SECRET)

    assert error_message(done).startswith("the database does not respond: ")
    assert str(port) in done.err


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"BETTER_AUTH_SECRET": "canary-Xq7-much-too-short"},
            ["BETTER_AUTH_SECRET", "32 characters"],
        ),
        ({"DATABASE_URL": NOWHERE}, ["BETTER_AUTH_SECRET must be set"]),
        (
            {
                "DATABASE_URL": NOWHERE,
                "NEON_DB_URL": NOWHERE.replace("app", "other"),
                "BETTER_AUTH_SECRET": SECRET,
            },
            ["DATABASE_URL", "NEON_DB_URL"],
        ),
        ({"CORS_ORIGINS": "http://localhost:3000,*"}, ["CORS_ORIGINS", "each origin"]),
        (
            {
                "DATABASE_URL": f"postgresql://ann:some@{PASSWORD}@localhost/app",
                "BETTER_AUTH_SECRET": SECRET,
            },
            ["DATABASE_URL"],
        ),
    ],
    ids=["short secret", "no secret", "two databases", "any origin", "at sign"],
)
def test_check_reports_invalid_settings(
    cli: Cli, settings: Environment, expected: list[str]
) -> None:
    """The message names the setting. Nothing is connected to or created."""
    done = cli("check", **settings)

    message = error_message(done)
    assert all(text in message for text in expected)
    assert done.out == ""
    assert not cli.home.data.exists()


def test_check_reports_an_unreachable_redis(home: Home) -> None:
    done = home.run("check", env={"RATE_LIMIT_STORAGE": "redis://127.0.0.1:9"})
    assert done.code == 0, done
    assert "RATE_LIMIT_STORAGE does not respond" in done.out


@pytest.mark.postgres
def test_check_creates_no_embedded_database(cli: Cli) -> None:
    """Without any settings it reports that there is none yet."""
    done = cli("check")

    assert (done.code, "none yet" in done.out) == (0, True)
    assert not cli.home.data.exists()


@pytest.mark.postgres
@pytest.mark.parametrize("command", [("seed", "--yes"), ("token", "ann@example.com")])
def test_no_command_migrates_a_configured_database(
    cli: Cli, empty_database_url: str, command: tuple[str, ...]
) -> None:
    """It may be served with --no-migrate on purpose."""
    done = cli(
        *command,
        DATABASE_URL=empty_database_url,
        BETTER_AUTH_SECRET="0123456789abcdef" * 2,
        DEBUG="true",
    )

    assert "`taskport migrate`" in error_message(done)


def test_stored_secret_must_be_long_enough(cli: Cli) -> None:
    """Tokens signed with a short one can be forged."""
    cli.home.data.mkdir()
    (cli.home.data / "secret").write_text("x")

    assert str(cli.home.data / "secret") in error_message(cli("token", "--memory", "a@example.com"))


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/below"])
def test_data_folder_that_is_no_folder_is_an_error(cli: Cli, path: str) -> None:
    assert "/dev/null" in error_message(cli("token", "a@example.com", TASKPORT_DATA_DIR=path))


def test_usage_error_has_exit_code_2(cli: Cli) -> None:
    """Errors of the settings or of the database have 1."""
    assert cli("seed", "--users", "0").code == 2


@pytest.mark.postgres
def test_check_warns_of_a_front_end_without_cors(configured: Cli) -> None:
    """BETTER_AUTH_URL alone does not allow its pages to call the service."""
    url = "https://app.example.com"
    out = configured("check", BETTER_AUTH_URL=url).out
    assert f"pages of {url} may not call this service" in out
    assert "may not call" not in configured("check", BETTER_AUTH_URL=url, CORS_ORIGINS=url).out


def test_env_file_must_be_utf_8(home: Home) -> None:
    """The message quotes nothing of it."""
    (home.folder / ".env").write_bytes(b"BETTER_AUTH_SECRET=caf\xe9-" + b"x" * 40)
    assert error_message(home.run("check")) == ".env: is not text in UTF-8"


@pytest.mark.postgres
def test_grants_of_the_front_end_are_not_those_of_the_serving_role(configured: Cli) -> None:
    """They have the function for guests, and no table."""
    serving, front_end = configured("grants", "app"), configured("grants", "app", "--front-end")
    assert (serving.code, front_end.code) == (0, 0)
    assert "move_tasks" not in serving.out
    assert 'grant usage on schema taskport to "app";' in front_end.out
    assert 'grant execute on function taskport.move_tasks(text, text) to "app";' in front_end.out
    assert front_end.out.count("grant ") == 2
