"""Layouts that no tool makes: each is adopted, or refused in one sentence.

Never are tables made beside those of Better Auth, whatever their names are.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from tests.layouts import commands
from tests.layouts.adoption import (
    OUR_SCHEMA,
    assert_adopted,
    assert_adopted_or_refused,
    assert_works,
)
from tests.layouts.better_auth import BetterAuth
from tests.layouts.dump import (
    BY_NAME,
    DRIZZLE,
    DUMPS,
    FIELDS,
    KYSELY,
    MADE,
    PLUGIN_FIELDS,
    PRISMA,
    Dump,
    rename,
)
from tests.servers import PostgresServer

pytestmark = pytest.mark.postgres

SERIAL: Final = BY_NAME["kysely_serial"]
PLURAL: Final = BY_NAME["drizzle_plural"]
#: The models that the service reads, or that a sign-up here or there writes.
MODELS: Final = ("user", "session", "account", "verification", "jwks")

#: Names as nobody would choose them. PostgreSQL cuts names after 63 bytes.
NAMES: Final = st.text(st.sampled_from("aZ_9 \"'%{}\\.;é$-"), min_size=1, max_size=15).map(
    lambda name: f"{name}x"
)


@contextmanager
def database(server: PostgresServer, dump: Dump, like: Dump | None = None) -> Iterator[str]:
    """A database with a dump, whose names are then those of `like`."""
    with server.database(template="template0") as url:
        dump.load(url)
        if like is not None:
            with psycopg.connect(url, autocommit=True) as connection:
                rename(connection, dump, like)
        yield url


def execute(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def settings_of(dump: Dump) -> dict[str, str]:
    """The settings that name everything."""
    return {"BETTER_AUTH_SCHEMA": dump.schema, "BETTER_AUTH_MODELS": dump.models_setting()}


# One column.

EACH_FIELD: Final = [
    (DUMPS[number % len(DUMPS)], model, field)
    for number, (model, field) in enumerate(
        (model, field)
        for model in MODELS
        for field in (*FIELDS[model], *PLUGIN_FIELDS.get(model, ()))
    )
]


@pytest.mark.parametrize(
    ("dump", "model", "field"),
    [
        pytest.param(
            dump if dump.has(model, field) else PLURAL, model, field, id=f"{model}.{field}"
        )
        for dump, model, field in EACH_FIELD
    ],
)
async def test_one_renamed_column(
    postgres_18_server: PostgresServer, dump: Dump, model: str, field: str
) -> None:
    """Under a name that says nothing; with `BETTER_AUTH_MODELS` it works."""
    renamed = dump.renamed(model, field, "Qx 7")
    with database(postgres_18_server, dump, renamed) as url:
        person = BetterAuth(url, renamed).sign_up()
        await assert_adopted_or_refused(url, renamed, person)
        if field != "id":
            await assert_adopted(url, renamed, person, **settings_of(renamed))


# All names in another style.

STYLES: Final[dict[str, Callable[[str], str]]] = {
    "lower case": lambda name: name.replace("_", "").lower(),
    "upper case": str.upper,
    "snake_case": lambda name: re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower(),
    "UPPER_SNAKE_CASE": lambda name: re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).upper(),
    "PascalCase": lambda name: name[0].upper() + name[1:],
    "kebab-case": lambda name: re.sub(r"(?<=[a-z])([A-Z])", r"-\1", name).lower(),
}
#: Of tables only.
AFFIXES: Final[dict[str, Callable[[str], str]]] = {
    "prefix": lambda name: f"auth_{name}",
    "prefix of an application": lambda name: f"my-app_{name}",
    "plural": lambda name: f"{name}s",
    "suffix": lambda name: f"{name}_table",
}


def styled(dump: Dump, tables: Callable[[str], str], columns: Callable[[str], str]) -> Dump:
    return replace(
        dump,
        tables={model: tables(model) for model in dump.tables},
        columns={
            model: {field: field if field == "id" else columns(field) for field in fields}
            for model, fields in dump.columns.items()
        },
    )


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("dump", [KYSELY, DRIZZLE], ids=str)
async def test_style_of_names(postgres_18_server: PostgresServer, dump: Dump, style: str) -> None:
    """Every usual spelling is found without a setting."""
    like = styled(dump, STYLES[style], STYLES[style])
    with database(postgres_18_server, dump, like) as url:
        await assert_adopted(url, like, BetterAuth(url, like).sign_up())


@pytest.mark.parametrize("affix", AFFIXES)
@pytest.mark.parametrize("dump", [SERIAL, PRISMA], ids=str)
async def test_affix_of_tables(postgres_18_server: PostgresServer, dump: Dump, affix: str) -> None:
    """Every usual form of table names is found without a setting."""
    like = styled(dump, AFFIXES[affix], str)
    with database(postgres_18_server, dump, like) as url:
        await assert_adopted(url, like, BetterAuth(url, like).sign_up())


@pytest.mark.parametrize("schema", ["auth", "Auth", "better auth", 'a"b', "neon_auth", "user"])
async def test_another_schema(postgres_18_server: PostgresServer, schema: str) -> None:
    """Any schema is searched."""
    like = PLURAL.in_schema(schema)
    with database(postgres_18_server, PLURAL, like) as url:
        await assert_adopted(url, like, BetterAuth(url, like).sign_up())


async def test_swapped_columns(postgres_18_server: PostgresServer) -> None:
    """Settings decide even against the usual names."""
    like = KYSELY
    for model, one, other in (
        ("session", "createdAt", "expiresAt"),
        ("session", "ipAddress", "userAgent"),
        ("user", "name", "image"),
        ("account", "accountId", "providerId"),
    ):
        like = like.renamed(model, one, other).renamed(model, other, one)
    with database(postgres_18_server, KYSELY, like) as url:
        # A name is required, an image is not.
        execute(
            url,
            'alter table "user" alter name drop not null',
            'alter table "user" alter image set not null',
        )
        await assert_adopted(url, like, BetterAuth(url, like).sign_up(), **settings_of(like))


async def test_swapped_tables(postgres_18_server: PostgresServer) -> None:
    """Shape decides, not the name of a table; or the settings."""
    like = DRIZZLE.with_table("session", "account").with_table("account", "session")
    with database(postgres_18_server, DRIZZLE, like) as url:
        person = BetterAuth(url, like).sign_up()
        await assert_adopted_or_refused(url, like, person)
        await assert_adopted(url, like, person, **settings_of(like))


# Other types.

UUID: Final = BY_NAME["drizzle_uuid"]


def replacing(old: str, new: str) -> Callable[[str], str]:
    """An edit that has an effect."""

    def edit(text: str) -> str:
        assert re.search(old, text)
        return re.sub(old, new, text)

    return edit


IDENTITY: Final = (
    r"ALTER TABLE (\S+) ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY \("
    r"\s+SEQUENCE NAME (\S+)[^)]+\);"
)
TYPES: Final[dict[str, tuple[Dump, Callable[[str], str]]]] = {
    "varchar(255)": (KYSELY, replacing("text", "varchar(255)")),
    "domain": (
        PRISMA,
        lambda text: (
            "create domain address as text;" + replacing("email text", "email address")(text)
        ),
    ),
    "collation": (KYSELY, replacing("email text", 'email text collate "C"')),
    "bigint": (SERIAL, replacing("integer NOT NULL", "bigint NOT NULL")),
    "generated always": (SERIAL, replacing("BY DEFAULT AS IDENTITY", "ALWAYS AS IDENTITY")),
    "serial": (
        SERIAL,
        replacing(
            IDENTITY,
            r"create sequence \2;alter table \1 alter id set default nextval('\2');",
        ),
    ),
    "uuid without a default": (UUID, replacing(r" DEFAULT gen_random_uuid\(\)", "")),
    "timestamp(0)": (DRIZZLE, replacing("timestamp", "timestamp(0)")),
    "timestamptz(3)": (KYSELY, replacing("timestamp with time zone", "timestamptz(3)")),
    "no foreign keys": (
        DRIZZLE,
        replacing(r"(?s)ALTER TABLE ONLY \S+\s+\S+ \S+ \S+ FOREIGN.*", ""),
    ),
    "no cascade": (SERIAL, replacing(" ON DELETE CASCADE", "")),
    "no defaults": (PRISMA, replacing(r" DEFAULT \w+", "")),
    "generated column": (
        PLURAL,
        replacing(
            "email text NOT NULL,",
            "email text NOT NULL, lower text generated always as (lower(email)) stored not null,",
        ),
    ),
    "nullable": (PRISMA, replacing(r" NOT NULL,\n", ",\n")),
}


@pytest.mark.parametrize("name", TYPES)
async def test_other_types(empty_database_url: str, name: str) -> None:
    """As older versions, other tools or a hand have made them."""
    dump, edit = TYPES[name]
    dump.load(empty_database_url, edit)
    person = BetterAuth(empty_database_url, dump).sign_up()
    await assert_adopted(empty_database_url, dump, person)


@pytest.mark.debian
@pytest.mark.parametrize("kind", ["public.citext", "text collate public.ignoring_case"])
async def test_addresses_that_ignore_case(postgres_15_server: PostgresServer, kind: str) -> None:
    """By a type or a collation that the PostgreSQL of the wheel does not have."""
    with postgres_15_server.database(template="template0") as url:
        execute(
            url,
            "create extension citext",
            "create collation ignoring_case (provider = icu, locale = 'und-u-ks-level2',"
            " deterministic = false)",
        )
        KYSELY.load(url, replacing("email text", f"email {kind}"))
        await assert_adopted(url, KYSELY, BetterAuth(url, KYSELY).sign_up())


# Anything at once.


@st.composite
def mutations(draw: st.DrawFn) -> tuple[Dump, Dump]:
    """A dump, and the same with any of its names changed."""
    before = draw(st.sampled_from(DUMPS))
    after = before
    for model in before.tables:
        fields = [field for field in before.columns[model] if field != "id"]
        chosen = draw(st.lists(st.sampled_from(fields), unique=True))
        names = draw(st.lists(NAMES, unique=True, min_size=len(chosen), max_size=len(chosen)))
        for field, name in zip(chosen, names, strict=True):
            after = after.renamed(model, field, name)
    models = draw(st.lists(st.sampled_from(list(before.tables)), unique=True))
    names = draw(st.lists(NAMES, unique=True, min_size=len(models), max_size=len(models)))
    for model, name in zip(models, names, strict=True):
        after = after.with_table(model, name)
    return before, after.in_schema(draw(NAMES | st.just(before.schema)))


@settings(
    max_examples=15,
    derandomize=True,
    # To shrink an example takes minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(mutation=mutations(), with_decoys=st.booleans())
async def test_any_names(
    postgres_18_server: PostgresServer, mutation: tuple[Dump, Dump], with_decoys: bool
) -> None:
    """Adopted or refused; with the right settings, adopted."""
    before, after = mutation
    with database(postgres_18_server, before, after) as url:
        if with_decoys:
            execute(url, "create schema app", *(DECOYS[name] for name in DECOYS))
        person = BetterAuth(url, after).sign_up()
        await assert_adopted_or_refused(url, after, person)
        await assert_adopted(url, after, person, **settings_of(after))


# Tables of an application beside them.

DECOYS: Final = {
    "users": "create table app.users (id serial primary key, email text not null unique)",
    "customers": (
        "create table app.user (id text primary key, email text unique, name text,"
        " created_at timestamptz not null default now())"
    ),
    "gym": (
        "create table app.sessions (id serial primary key, user_id int references app.users,"
        " trainer text not null, starts_at timestamptz not null, expires_at timestamptz)"
    ),
    "bank": (
        "create table app.accounts (id serial primary key, user_id int references app.users,"
        " iban text not null, password text, created_at timestamptz)"
    ),
    "mail": "create table app.verifications (id serial primary key, value text, token text)",
    "view": "create view app.session as select id, email as token from app.users",
}


@pytest.mark.parametrize("dump", [KYSELY, PLURAL, SERIAL, BY_NAME["kysely_schema"]], ids=str)
@pytest.mark.parametrize("schema", ["app", "public"])
async def test_tables_of_an_application(
    postgres_18_server: PostgresServer, dump: Dump, schema: str
) -> None:
    """They are not Better Auth's: a gym's sessions have no token."""
    with database(postgres_18_server, dump) as url:
        taken = {name for _, name, *_ in commands.catalog(url)} if schema == "public" else set()
        execute(url, "create schema if not exists app")
        for statement in DECOYS.values():
            found = re.search(r"app\.(\w+)", statement)
            assert found is not None
            if found[1] not in taken:
                execute(url, statement.replace("app.", f"{schema}."))
        person = BetterAuth(url, dump).sign_up()
        await assert_adopted_or_refused(url, dump, person)
        await assert_adopted(url, dump, person, **settings_of(dump))


#: The tables of other libraries for authentication, in the schema `other`.
LIBRARIES: Final = {
    "Auth.js": (
        'create table other."user" (id text primary key, name text, email text unique,'
        ' "emailVerified" timestamp, image text)',
        'create table other.session ("sessionToken" text primary key,'
        ' "userId" text not null references other."user" on delete cascade,'
        " expires timestamp not null)",
        'create table other.account ("userId" text not null references other."user",'
        ' type text not null, provider text not null, "providerAccountId" text not null,'
        " refresh_token text, access_token text, expires_at integer, id_token text,"
        ' primary key (provider, "providerAccountId"))',
        'create table other."verificationToken" (identifier text, token text,'
        " expires timestamp not null, primary key (identifier, token))",
    ),
    "Supabase": (
        "create table other.users (id uuid primary key, email varchar(255),"
        " encrypted_password varchar(255), email_confirmed_at timestamptz,"
        " created_at timestamptz, updated_at timestamptz, banned_until timestamptz)",
        "create table other.sessions (id uuid primary key, user_id uuid references other.users,"
        " created_at timestamptz, updated_at timestamptz, not_after timestamptz,"
        " user_agent text, ip inet)",
        "create table other.refresh_tokens (id bigserial primary key, token varchar(255) unique,"
        " user_id varchar(255), session_id uuid references other.sessions,"
        " created_at timestamptz, updated_at timestamptz)",
    ),
    "Lucia": (
        'create table other."user" (id text primary key, email text unique)',
        "create table other.session (id text primary key,"
        ' user_id text not null references other."user", expires_at timestamptz not null)',
    ),
    "Django": (
        "create table other.auth_user (id serial primary key, password varchar(128) not null,"
        " last_login timestamptz, username varchar(150) unique, email varchar(254) not null,"
        " is_active boolean not null, date_joined timestamptz not null)",
        "create table other.django_session (session_key varchar(40) primary key,"
        " session_data text not null, expire_date timestamptz not null)",
        "create table other.authtoken_token (key varchar(40) primary key,"
        " created timestamptz not null, user_id integer unique references other.auth_user)",
    ),
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("dump", [KYSELY, PLURAL], ids=str)
async def test_tables_of_another_library(
    postgres_18_server: PostgresServer, dump: Dump, library: str
) -> None:
    """Better Auth's are found beside them without a setting."""
    with database(postgres_18_server, dump) as url:
        execute(url, "create schema other", *LIBRARIES[library])
        await assert_adopted(url, dump, BetterAuth(url, dump).sign_up())


@pytest.mark.parametrize("library", LIBRARIES)
def test_tables_of_another_library_alone(empty_database_url: str, library: str) -> None:
    """They are refused by name: their users might be those of the front end."""
    execute(empty_database_url, "create schema other", *LIBRARIES[library])
    before = commands.catalog(empty_database_url)
    for command in ("migrate", "check"):
        refusal = commands.taskport(empty_database_url, command).refusal
        assert "other" in refusal
        assert "BETTER_AUTH_SCHEMA" in refusal
    assert commands.catalog(empty_database_url) == before
    settings = {"BETTER_AUTH_SCHEMA": "public"}
    assert commands.taskport(empty_database_url, "migrate", **settings).code == 0


@pytest.mark.parametrize("dump", [KYSELY, PLURAL, SERIAL], ids=str)
async def test_two_worlds_of_better_auth(postgres_18_server: PostgresServer, dump: Dump) -> None:
    """Both are named, and `BETTER_AUTH_SCHEMA` decides."""
    one, other = dump.in_schema("one"), dump.in_schema("other")
    with database(postgres_18_server, dump, one) as url:
        dump.load(url)
        with psycopg.connect(url, autocommit=True) as connection:
            rename(connection, dump, other)
        refusal = await assert_adopted_or_refused(url, one, BetterAuth(url, one).sign_up())
        assert refusal is not None
        assert "one" in refusal
        assert "other" in refusal
        assert "BETTER_AUTH_SCHEMA" in refusal
        person = BetterAuth(url, other).sign_up()
        await assert_adopted(url, other, person, BETTER_AUTH_SCHEMA="other")


async def test_generations_of_better_auth_in_one_schema(
    postgres_18_server: PostgresServer,
) -> None:
    """An older project's tables beside those of today: `BETTER_AUTH_MODELS` decides."""
    with database(postgres_18_server, DRIZZLE) as url:
        PLURAL.load(url)
        person = BetterAuth(url, PLURAL).sign_up()
        refusal = await assert_adopted_or_refused(url, DRIZZLE, BetterAuth(url, DRIZZLE).sign_up())
        assert refusal is not None
        assert "BETTER_AUTH_MODELS" in refusal
        await assert_adopted(url, PLURAL, person, **settings_of(PLURAL))


# Nothing, or a part, of Better Auth's.


async def test_empty_database(empty_database_url: str) -> None:
    """Better Auth's tables are made, as on its default layout."""
    assert commands.taskport(empty_database_url, "migrate").code == 0
    await assert_works(empty_database_url, MADE, BetterAuth(empty_database_url, MADE).sign_up())


@pytest.mark.parametrize("schema", ["auth", 'a "b"'])
async def test_schema_for_the_tables_that_are_made(empty_database_url: str, schema: str) -> None:
    """Beside an application's users, because `BETTER_AUTH_SCHEMA` says where."""
    create = sql.SQL("create schema {}").format(sql.Identifier(schema)).as_string()
    execute(empty_database_url, "create schema app", DECOYS["users"], create)
    before = commands.catalog(empty_database_url)
    done = commands.taskport(empty_database_url, "migrate", BETTER_AUTH_SCHEMA=schema)
    assert done.code == 0, done
    made = commands.catalog(empty_database_url) - before
    assert {name for name, *_ in made} == {schema, "taskport"}
    assert {name for _, name, *_ in made} >= set(MADE.tables)
    dump = MADE.in_schema(schema)
    person = BetterAuth(empty_database_url, dump).sign_up()
    await assert_works(empty_database_url, dump, person, BETTER_AUTH_SCHEMA=schema)


@pytest.mark.parametrize("name", ["public.users", "public.user", "app.user", 'app."Users"'])
def test_users_of_an_application_alone(empty_database_url: str, name: str) -> None:
    """Refused by name by each command: the tables beside might be a second world."""
    schema, _, table = name.replace('"', "").partition(".")
    execute(
        empty_database_url,
        f"create schema if not exists {schema}",
        f'create table {schema}."{table}" (id int primary key, email text unique)',
    )
    before = commands.catalog(empty_database_url)
    for command in ("migrate", "check"):
        refusal = commands.taskport(empty_database_url, command).refusal
        assert table in refusal
        assert "BETTER_AUTH_SCHEMA" in refusal
    assert commands.catalog(empty_database_url) == before


@pytest.mark.parametrize("dump", [KYSELY, PLURAL, SERIAL], ids=str)
@pytest.mark.parametrize("model", ["user", "session", "account", "verification", "jwks"])
async def test_one_missing_table(
    postgres_18_server: PostgresServer, dump: Dump, model: str
) -> None:
    """It is never made alone."""
    with database(postgres_18_server, dump) as url:
        person = BetterAuth(url, dump).sign_up() if model in ("verification", "jwks") else None
        execute(url, f'drop table "{dump.tables[model]}" cascade')
        before = commands.catalog(url)
        done = commands.taskport(url, "migrate")
        assert commands.catalog(url) - before <= {OUR_SCHEMA}
        if person is not None:
            assert done.code == 0, done
            await assert_works(url, dump, person)
        elif done.code != 0:
            assert done.refusal
            assert commands.catalog(url) == before
        # Without a table of sessions or users, no request could succeed.
        assert done.code == 1 or model not in ("user", "session")


# Wrong settings.


@pytest.mark.parametrize("command", ["migrate", "check"])
def test_wrong_schema(postgres_18_server: PostgresServer, command: str) -> None:
    """No tables are made in a schema beside Better Auth's, empty or not."""
    with database(postgres_18_server, PLURAL) as url:
        execute(url, "create schema empty", "create schema app", *DECOYS.values())
        before = commands.catalog(url)
        for schema in ("empty", "app"):
            refusal = commands.taskport(url, command, BETTER_AUTH_SCHEMA=schema).refusal
            assert schema in refusal
            assert "sessions" in refusal
            assert commands.catalog(url) == before


@pytest.mark.parametrize("command", ["migrate", "check"])
@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BETTER_AUTH_SCHEMA": "nowhere"}, "nowhere"),
        ({"BETTER_AUTH_MODELS": '{"user": {"modelName": "nobody"}}'}, "nobody"),
        ({"BETTER_AUTH_MODELS": '{"session": {"modelName": "account"}}'}, "account"),
        ({"BETTER_AUTH_MODELS": '{"session": {"fields": {"expiresAt": "nowhen"}}}'}, "nowhen"),
        ({"BETTER_AUTH_MODELS": '{"jwks": {"modelName": "no keys"}}'}, "no keys"),
        # Without a setting, the shape of the table decides.
        ({"BETTER_AUTH_MODELS": '{"account": {"fields": {"idToken": "no token"}}}'}, "no token"),
        ({"BETTER_AUTH_MODELS": "{'user'}"}, "BETTER_AUTH_MODELS"),
        ({"BETTER_AUTH_MODELS": '{"user": {"modelName": 7}}'}, "BETTER_AUTH_MODELS"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "-",
)
def test_wrong_settings(
    postgres_18_server: PostgresServer, command: str, variables: dict[str, str], expected: str
) -> None:
    """They are refused by the name that is wrong, even if the shape of the tables would do."""
    with database(postgres_18_server, DRIZZLE) as url:
        before = commands.catalog(url)
        assert expected in commands.taskport(url, command, **variables).refusal
        assert commands.catalog(url) == before
