"""The settings: valid values of the environment, and errors that do not quote invalid ones."""

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from adapters.postgres.connection import conninfo
from application.limits import Limit
from entrypoints.setting_problems import problems
from entrypoints.settings import Settings

CANARY = "canary-Xq7"
SECRET = "0123456789abcdef0123456789abcdef"
EXAMPLE = Path(__file__).parents[2] / ".env.example"

Load = Callable[..., Settings]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """The settings of an environment."""
    for limit in ("RATE_LIMIT", "AUTH_RATE_LIMIT"):
        monkeypatch.delenv(limit)

    def load(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Settings()

    return load


@pytest.fixture
def load_url(load: Load) -> Load:
    """The settings of an environment that also has the secret."""

    def with_secret(**environment: str) -> Settings:
        return load(BETTER_AUTH_SECRET=SECRET, **environment)

    return with_secret


def error_message(load: Load, **environment: str) -> str:
    """The message about invalid settings, which must not contain the canary."""
    with pytest.raises(ValidationError) as caught:
        load(**environment)
    message = "\n".join(problems(caught.value))
    for text in (message, str(caught.value), repr(caught.value)):
        assert CANARY not in text
    return message


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ann:pw@db.example.com/app",
        "postgresql://ann:pw@db.example.com:6543/app",
        "postgresql+psycopg://ann:pw@db.example.com/app",
        "postgresql+asyncpg://ann:pw@db.example.com/app",
        "postgresql://ann:pw@db.example.com/app?sslmode=require",
        "postgresql://ann:pw@db.example.com/app?sslmode=require&channel_binding=require",
        "postgresql://ann:pw@db.example.com/app?sslmode=verify-full&sslrootcert=system",
        "postgresql://ann:pw@ep-a-1-pooler.eu-central-1.aws.neon.tech/app?sslmode=require",
        "postgresql://ann:pw@db.example.com/app?options=endpoint%3Dep-cool-name-123456",
        "postgresql://ann:pw@db.example.com/app?options=-c%20search_path%3Dx%20-c%20geqo%3Doff",
        "postgresql://ann:pw@/app?host=/var/run/postgresql",
        "postgresql://ann:pw@%2Fvar%2Frun%2Fpostgresql/app",
        "postgresql:///app?host=/var/run/postgresql&user=ann",
        "postgresql://ann:pw@one.example.com:5432,two.example.com:5433/app"
        "?target_session_attrs=read-write",
        "postgresql://ann:p%40ss%2Fw%3Ard%25%23%3F@db.example.com/app",
        "postgresql://ann:p?w#x@db.example.com/app",
        "postgresql://ann:pw@[::1]:5432/app",
        "postgresql://db.example.com/app?user=ann&password=pw",
        "postgresql://ann:pw@db.example.com/app?connect_timeout=3&application_name=other",
    ],
)
def test_database_url_reaches_libpq_unchanged(load_url: Load, url: str) -> None:
    """Except its scheme: libpq and psycopg have one in common."""
    settings = load_url(DATABASE_URL=url)

    assert settings.url is not None
    assert settings.url.partition("://")[2] == url.partition("://")[2]
    parameters = conninfo_to_dict(re.sub(r"^[a-z+]+", "postgresql", url))
    assert parameters.items() <= conninfo_to_dict(conninfo(settings.url)).items()


def test_percent_encoded_password_is_decoded_once(load_url: Load) -> None:
    """By libpq alone."""
    settings = load_url(DATABASE_URL="postgresql://ann:p%40ss%2Fw%25@db.example.com/app")

    assert conninfo_to_dict(settings.url or "")["password"] == "p@ss/w%"


@pytest.mark.parametrize("name", ["DATABASE_URL", "NEON_DB_URL", "DATABASE_DIRECT_URL"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"mysql://ann:{CANARY}@db.example.com/app", "must start with postgres://"),
        (f"ann:{CANARY}@db.example.com/app", "must start with postgres://"),
        (f"host=db.example.com password={CANARY}", "must start with postgres://"),
        (f"https://ann:{CANARY}@db.example.com/", "must start with postgres://"),
        (f"postgresql://ann:{CANARY}@db.example.com/app?schema=public", "the parameter schema"),
        (f"postgresql://ann:{CANARY}@db.example.com/app?pgbouncer=true", "parameter pgbouncer"),
        (f"postgresql://ann:{CANARY}@db.example.com/app?x%20{CANARY}=1", "libpq understands"),
        (f"postgresql://ann:{CANARY}%zz@db.example.com/app", "libpq understands"),
        (f"postgresql://ann:{CANARY}@[::1/app", "libpq understands"),
    ],
)
def test_invalid_database_url_is_rejected_and_not_quoted(
    load_url: Load, name: str, url: str, reason: str
) -> None:
    """The message names the variable, and a parameter that libpq does not know."""
    message = error_message(load_url, **{name: url})

    assert message.startswith(f"{name} ")
    assert reason in message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{CANARY}/more@db.example.com/app",
        f"postgresql://ann:some@{CANARY}@db.example.com/app",
    ],
)
def test_password_without_percent_encoding_is_rejected(load_url: Load, url: str) -> None:
    """libpq takes a part of it for the host or the port, and error messages contain the host."""
    assert error_message(load_url, DATABASE_URL=url).startswith("DATABASE_URL ")


@pytest.mark.parametrize(
    ("url", "direct"),
    [
        (
            "postgresql://ann:pw@ep-a-1-pooler.eu-central-1.aws.neon.tech/app?sslmode=require",
            "postgresql://ann:pw@ep-a-1.eu-central-1.aws.neon.tech/app?sslmode=require",
        ),
        (
            "postgresql://ann:pw@ep-a-1-pooler.neon.tech:5432/app",
            "postgresql://ann:pw@ep-a-1.neon.tech:5432/app",
        ),
        (
            "postgresql://a-pooler.b:p-pooler.w@ep-a-1-pooler.eu.aws.neon.tech/my-pooler.db"
            "?application_name=x-pooler.neon.y",
            "postgresql://a-pooler.b:p-pooler.w@ep-a-1.eu.aws.neon.tech/my-pooler.db"
            "?application_name=x-pooler.neon.y",
        ),
        (
            "postgresql://ep-a-1-pooler.eu.aws.neon.tech/app?user=ann&password=pw",
            "postgresql://ep-a-1.eu.aws.neon.tech/app?user=ann&password=pw",
        ),
    ],
)
def test_direct_url_of_neon_bypasses_the_pooler(load_url: Load, url: str, direct: str) -> None:
    """`-pooler` is removed from the host only."""
    settings = load_url(DATABASE_URL=url)

    assert settings.direct_url == direct
    assert settings.url == url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:pw@ep-a-1.eu-central-1.aws.neon.tech/app",
        "postgresql://ann:x-pooler.neon.tech@db.example.com/app",
        "postgresql://ann:pw@db.example.com/x-pooler.neon.tech",
        "postgresql://ann:pw@db.example.com/app?application_name=x-pooler.neon.tech",
        "postgresql://ann:pw@db-pooler.example.com/app",
        "postgresql://ann:pw@a-pooler.myneon.tech/app",
    ],
)
def test_other_url_is_its_own_direct_url(load_url: Load, url: str) -> None:
    """If it has no Neon host with `-pooler`."""
    assert load_url(DATABASE_URL=url).direct_url == url


def test_configured_direct_url_is_not_changed(load_url: Load) -> None:
    """Even if it has the host of a pooler."""
    direct = "postgresql://ann:pw@ep-b-2-pooler.eu.aws.neon.tech/app"
    settings = load_url(DATABASE_URL="postgres://ann:pw@db/app", DATABASE_DIRECT_URL=direct)

    assert settings.direct_url == direct


def test_direct_url_is_ignored_for_the_embedded_database(load: Load) -> None:
    """Without a database URL it is that of another database, which must not be migrated."""
    settings = load(DATABASE_DIRECT_URL="postgresql://ann:pw@db.example.com/app")
    embedded = settings.with_local_database("postgresql://taskport:pw@127.0.0.1:5/taskport")

    assert embedded.direct_url == embedded.url


def test_keys_of_a_local_port_are_believed_only_on_request(load: Load) -> None:
    """Without a database of its own, the service runs beside other users of the machine."""
    embedded = "postgresql://taskport:pw@127.0.0.1:5/taskport"
    for url in (embedded, None):
        assert load().with_local_database(url).jwks_url is None
    keys = "http://localhost:3000/api/auth/jwks"
    assert load().jwks_url == keys
    assert load(BETTER_AUTH_JWKS_URL=keys).with_local_database(embedded).jwks_url == keys
    assert load(BETTER_AUTH_JWKS_URL="none").jwks_url is None


@pytest.mark.parametrize("path", ["backend", "/a b", "//evil", "/a/?x", "https://x"])
def test_root_path_that_is_no_path_is_rejected(load: Load, path: str) -> None:
    assert error_message(load, API_ROOT_PATH=path).startswith("API_ROOT_PATH ")


def test_trailing_slash_of_the_root_path_is_removed(load: Load) -> None:
    assert load(API_ROOT_PATH="/backend/").api_root_path == "/backend"
    assert load(API_ROOT_PATH="/").api_root_path == ""


def test_log_level_is_case_insensitive(load: Load) -> None:
    assert load(LOG_LEVEL="WARNING").log_level == "warning"


def test_database_url_has_two_names(load_url: Load) -> None:
    """Both may be set if they have the same value."""
    url = "postgresql://ann:pw@db.example.com/app"

    assert load_url(NEON_DB_URL=url).url == url
    assert load_url(DATABASE_URL=url.replace("ql", "", 1)).url == url


def test_two_different_database_urls_are_rejected(load_url: Load) -> None:
    message = error_message(
        load_url,
        DATABASE_URL=f"postgresql://ann:{CANARY}@one.example.com/app",
        NEON_DB_URL=f"postgresql://ann:{CANARY}@two.example.com/app",
    )

    assert "DATABASE_URL" in message
    assert "NEON_DB_URL" in message


@pytest.mark.parametrize("name", ["DATABASE_URL", "NEON_DB_URL"])
def test_database_url_requires_the_secret(load: Load, name: str) -> None:
    """A generated one would differ from that of the Better Auth server."""
    message = error_message(load, **{name: f"postgresql://ann:{CANARY}@db.example.com/app"})

    assert message.startswith("BETTER_AUTH_SECRET must be set")


def test_short_secret_is_rejected_and_not_quoted(load: Load) -> None:
    """31 characters are too few, 32 are enough."""
    assert "at least 32 characters" in error_message(load, BETTER_AUTH_SECRET=CANARY.ljust(31, "x"))
    assert load(BETTER_AUTH_SECRET=SECRET).secrets == (SECRET,)


def test_repr_of_the_settings_hides_secrets(load: Load) -> None:
    """The secret and the passwords of databases."""
    url = f"postgresql://ann:{CANARY}@db.example.com/app"
    settings = load(
        DATABASE_URL=url,
        NEON_DB_URL=url,
        DATABASE_DIRECT_URL=url,
        BETTER_AUTH_SECRET=CANARY.ljust(32, "x"),
    )

    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)
    assert CANARY not in repr(settings.with_local_database(url).with_secret(CANARY))


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://localhost:3000/", "http://localhost:3000"),
        ("https://App.Example.COM/api/auth?x=1#y", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80/", "http://app.example.com"),
        ("https://app.example.com:80", "https://app.example.com:80"),
        ("http://[::1]:3000/x", "http://[::1]:3000"),
        ("  https://app.example.com  ", "https://app.example.com"),
    ],
)
def test_better_auth_url_is_reduced_to_its_origin(load: Load, url: str, origin: str) -> None:
    """It is compared with the origin that a browser sends and with the issuer of a token."""
    assert load(BETTER_AUTH_URL=url).better_auth_url == origin


@pytest.mark.parametrize("name", ["BETTER_AUTH_URL", "CORS_ORIGINS"])
@pytest.mark.parametrize(
    "url",
    [
        f"{CANARY}.example.com",
        f"ftp://{CANARY}.example.com",
        f"https://ann:{CANARY}@app.example.com",
        f"https:///{CANARY}",
        f"http://{CANARY}:port",
        f"http://{CANARY}:99999",
        f"http://[{CANARY}",
    ],
)
def test_invalid_origin_is_rejected_and_not_quoted(load: Load, name: str, url: str) -> None:
    """The message has an example of an origin."""
    assert error_message(load, **{name: url}).startswith(f"{name} must be a URL such as https://")


@pytest.mark.parametrize(
    ("text", "origins"),
    [
        ("https://app.example.com", ("https://app.example.com",)),
        (
            " https://A.example.com/ ,http://localhost:5173,, https://b.example.com:443,",
            ("https://a.example.com", "http://localhost:5173", "https://b.example.com"),
        ),
        (",", ()),
    ],
)
def test_cors_origins_are_separated_by_commas(
    load: Load, text: str, origins: tuple[str, ...]
) -> None:
    """White space and empty items are ignored; each origin is normalized as browsers do."""
    assert load(CORS_ORIGINS=text).cors_origins == origins


@pytest.mark.parametrize("text", ["*", "https://app.example.com,*", "https://*.example.com", " * "])
def test_wildcard_in_cors_origins_is_rejected(load: Load, text: str) -> None:
    """Credentials are allowed, so any page could send requests with the cookies of a user."""
    message = error_message(load, CORS_ORIGINS=text)

    assert message.startswith("CORS_ORIGINS must name each origin")


@pytest.mark.parametrize("name", [name.upper() for name in Settings.model_fields])
def test_empty_value_counts_as_unset(load: Load, name: str) -> None:
    """As `NAME=` in a file or a container definition. An empty limit or prefix means none."""
    none: dict[str, dict[str, object]] = {
        "RATE_LIMIT": {"rate_limit": ()},
        "AUTH_RATE_LIMIT": {"auth_rate_limit": ()},
        "BETTER_AUTH_REDIS_PREFIX": {"better_auth_redis_prefix": ""},
    }
    expected = Settings.model_construct().model_copy(update=none.get(name))
    assert load(**{name: ""}) == expected


def test_names_are_case_insensitive(load: Load) -> None:
    assert load(api_port="8123").api_port == 8123


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", CANARY),
        ("API_PORT", "65536"),
        ("JWT_EXPIRY_DAYS", "0"),
        ("JWT_EXPIRY_DAYS", "366"),
        ("DEBUG", CANARY),
        ("LOG_LEVEL", CANARY),
        ("LOG_FORMAT", CANARY),
        ("RATE_LIMIT", CANARY),
        ("RATE_LIMIT", "0/minute"),
        ("RATE_LIMIT", "600/minute; 10/minute"),
        ("AUTH_RATE_LIMIT", "ten a minute"),
        ("RATE_LIMIT_STORAGE", f"memcached://{CANARY}"),
        ("RATE_LIMIT_STORAGE", f"redis://:{CANARY}@host:port"),
        ("RATE_LIMIT_STORAGE", f"redis://:{CANARY}@host:99999"),
        ("RATE_LIMIT_STORAGE", "redis:///0"),
        ("RATE_LIMIT_STORAGE", "redis://host/name"),
        ("RATE_LIMIT_STORAGE", f"redis://host/0?db={CANARY}"),
        ("RATE_LIMIT_STORAGE", f"redis://host/0?{CANARY}=1"),
        ("RATE_LIMIT", "5/99999 years"),
        ("TRUSTED_PROXIES", "-1"),
        ("ALLOWED_HOSTS", f"https://{CANARY}"),
        ("ALLOWED_HOSTS", "api.example.com:8000"),
        ("DRAIN_SECONDS", "-1"),
        ("SLOW_QUERY_MS", "0"),
        ("SHARED_SECRET_TOKENS", CANARY),
    ],
)
def test_message_of_an_invalid_value_has_the_name(load: Load, name: str, value: str) -> None:
    """In one line, without the value."""
    message = error_message(load, **{name: value})

    assert message.startswith(f"{name} ")
    assert "\n" not in message


def test_all_errors_are_reported_at_once(load: Load) -> None:
    """One line for each."""
    message = error_message(load, API_PORT="x", CORS_ORIGINS="*", BETTER_AUTH_URL="x")

    names = {line.partition(" ")[0] for line in message.splitlines()}
    assert names == {"API_PORT", "CORS_ORIGINS", "BETTER_AUTH_URL"}


def test_jwt_expiry_days_is_the_token_lifetime(load: Load) -> None:
    assert load(JWT_EXPIRY_DAYS="3").token_lifetime == timedelta(days=3)


def test_example_lists_each_setting_with_a_comment() -> None:
    """And nothing else."""
    lines = EXAMPLE.read_text().splitlines()
    found = {line.partition("=")[0]: number for number, line in enumerate(lines) if "=" in line}
    found = {name: number for name, number in found.items() if not name.startswith("#")}

    assert sorted(found) == sorted(name.upper() for name in Settings.model_fields)
    for number in found.values():
        assert lines[number - 1].startswith("# ")


def test_unchanged_example_has_the_defaults() -> None:
    """Its secret is empty."""
    settings = Settings(_env_file=EXAMPLE)

    assert settings == Settings()
    assert settings.better_auth_secret is None


def test_public_default_secret_is_rejected(load: Load) -> None:
    """Better Auth uses it if none is set."""
    default = "better-auth-secret-12345678901234567890"
    message = error_message(load, BETTER_AUTH_SECRET=default)
    assert "which is public" in message
    assert default not in message


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", ()),
        (" ", ()),
        ("600/minute", [(600, 60)]),
        ("600/minutes", [(600, 60)]),
        ("600 / 1 Minute ", [(600, 60)]),
        ("10/5minutes", [(10, 300)]),
        ("10per5minutes", [(10, 300)]),
        ("10 PER 5 MINUTES", [(10, 300)]),
        ("20/1hour", [(20, 3600)]),
        ("3/day", [(3, 86_400)]),
        ("1 per month", [(1, 2_592_000)]),
        ("10 per second; 600/minute", [(10, 1), (600, 60)]),
        ("1/second,2/minute|3/hour", [(1, 1), (2, 60), (3, 3600)]),
    ],
)
def test_limits_have_the_syntax_of_the_limits_library(
    load: Load, text: str, limits: Sequence[tuple[int, int]]
) -> None:
    found = load(RATE_LIMIT=text, AUTH_RATE_LIMIT=text)
    expected = tuple(Limit(amount, seconds) for amount, seconds in limits)
    assert (found.rate_limit, found.auth_rate_limit) == (expected, expected)


@pytest.mark.parametrize(
    "text",
    [
        "many",
        "600",
        "600/",
        "/minute",
        "-1/minute",
        "1.5/minute",
        "1/fortnight",
        "1/minutess",
        "1/s",
        "1/hour\u017f",
        "\u0661/minute",
        "1/minute;",
        "1/minute 2/hour",
    ],
)
def test_limits_with_invalid_syntax_are_rejected(load: Load, text: str) -> None:
    assert "must be limits such as 600/minute" in error_message(load, RATE_LIMIT=text)


@pytest.mark.parametrize("text", ["0/minute", "1/0 minutes", "1/32days", "1/year"])
def test_limits_outside_the_bounds_are_rejected(load: Load, text: str) -> None:
    assert "in a window of 1 second to 31 days" in error_message(load, RATE_LIMIT=text)


def test_two_limits_for_one_window_are_rejected(load: Load) -> None:
    assert "two limits for one window" in error_message(load, RATE_LIMIT="1/minute; 2/60 seconds")


def test_default_limits(load: Load) -> None:
    assert load().rate_limit == (Limit(600, 60),)
    assert load().auth_rate_limit == (Limit(10, 300),)


def test_hosts_are_separated_by_commas(load: Load) -> None:
    found = load(ALLOWED_HOSTS=" API.example.com ,*.example.org,,[::1]").allowed_hosts
    assert found == ("api.example.com", "*.example.org", "[::1]")


@pytest.mark.parametrize(
    "name",
    ["BETTER_AUTH_MODELS", "BETTER_AUTH_COOKIES", "BETTER_AUTH_DEFAULT_COOKIE_ATTRIBUTES"],
)
@pytest.mark.parametrize("text", ["{", "[]", '"text"', "[" * 100_000], ids=lambda text: text[:9])
def test_other_json_than_an_object_is_rejected(load: Load, name: str, text: str) -> None:
    assert error_message(load, **{name: text}).startswith(f"{name} must be JSON such as {{")
