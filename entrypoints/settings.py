"""The settings, read once from the environment and `.env`. No other module reads either."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import limits
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from application.limits import Limit, Limits
from domain.sessions import SessionPolicy

SECRET_MIN_LENGTH = 32
_LIMIT_MAX_SECONDS = 31 * 86_400
_MAY_BE_EMPTY = frozenset({"rate_limit", "auth_rate_limit"})
_PUBLISHED_SECRET = "better-auth-secret-12345678901234567890"  # noqa: S105


def _origin(url: str) -> str:
    """The origin of a URL as a browser writes it: no path, no default port, lower case."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL such as https://app.example.com") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("must be a URL such as https://app.example.com")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + (f":{port}" if port not in (None, default) else "")


def _origins(text: object) -> object:
    if not isinstance(text, str):
        return text
    if "*" in text:
        raise ValueError("must name each origin: credentials are allowed, so `*` is refused")
    return tuple(_origin(part) for part in text.split(",") if part.strip())


def _database_url(url: str | None) -> str | None:
    """The URL as libpq takes it. SQLAlchemy's `postgresql+driver://` is understood as well."""
    if url is None:
        return None
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    if not url.startswith("postgresql://"):
        raise ValueError("must start with postgres:// or postgresql://")
    try:
        said = conninfo_to_dict(url)
    except ProgrammingError as error:
        # libpq names the parameter it does not know, but quotes whatever else it stumbles over.
        named = re.search(r'invalid URI query parameter: "(\w{1,40})"', str(error))
        raise ValueError(
            f"has the parameter {named[1]}, which libpq does not know"
            if named
            else "is not a connection URL that libpq understands"
        ) from None
    # libpq itself would look for such a host, and name it in its error.
    if "@" in str(said.get("host", "")) or not re.fullmatch(r"[\d,]*", str(said.get("port", ""))):
        raise ValueError("has a password that must be percent-encoded (`@` as %40, `/` as %2F)")
    return url


def _past_the_pooler(url: str) -> str:
    """The URL with `-pooler` taken out of a Neon host, and out of nothing else."""
    scheme, rest = url.split("://", 1)
    authority, *tail = re.split(r"(?=[/?])", rest, maxsplit=1)
    user, at, hosts = authority.rpartition("@")
    hosts = re.sub(r"-pooler(?=(\.[\w-]+)*\.neon\.tech\b)", "", hosts)
    return f"{scheme}://{user}{at}{hosts}{''.join(tail)}"


def _prefix(path: str) -> str:
    """The path without a slash at its end."""
    path = path.strip().rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", path, re.ASCII):
        raise ValueError("must be a path such as /backend")
    return path


def _http_url(url: str) -> str:
    """A URL of the web, with whatever path it has."""
    _origin(url)
    return url.strip()


def _cookie_part(text: str) -> str:
    """A part of a cookie's name (RFC 6265, 4.1.1: a token)."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", text):
        raise ValueError("must be letters, digits, dots and dashes")
    return text


def _domain(text: str) -> str:
    """A domain of cookies, without the dot that old browsers wanted before it."""
    domain = text.strip().lower().removeprefix(".")
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", domain):
        raise ValueError("must be a domain such as example.com")
    return domain


def _limits(text: object) -> object:
    """In the syntax of the library `limits`: `600/minute`, `10 per 5 minutes; 100/hour`."""
    if not isinstance(text, str):
        return text
    try:
        parsed = limits.parse_many(text) if text.strip() else []
    except ValueError:
        raise ValueError("must be limits such as 600/minute, or nothing for none") from None
    if any(item.amount < 1 or not 1 <= item.get_expiry() <= _LIMIT_MAX_SECONDS for item in parsed):
        raise ValueError("must allow something, in a second at least and 31 days at most")
    if len({item.get_expiry() for item in parsed}) < len(parsed):
        raise ValueError("must not limit the same span of time twice")
    return tuple(Limit(item.amount, item.get_expiry()) for item in parsed)


def _storage(url: str) -> str:
    if url == "memory://":
        return url
    # Who does not use Redis need not load its client.
    from redis.connection import ConnectionPool  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        is_redis = (
            bool(parts.hostname)
            and parts.port != 0
            and parts.path[1:].isdecimal() is (parts.path not in ("", "/"))
        )
        # It says what it does not understand only when it makes a connection, which opens nothing.
        ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError):
        is_redis = False
    if not is_redis or parts.scheme not in ("redis", "rediss"):
        raise ValueError("must be memory:// or redis://host:port/0")
    return url


def _hosts(text: object) -> object:
    if not isinstance(text, str):
        return text
    hosts = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if not all(re.fullmatch(r"(\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\]", host) for host in hosts):
        raise ValueError("must be names such as api.example.com or *.example.com, without ports")
    return hosts


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


DatabaseUrl = Annotated[
    str | None, BeforeValidator(_empty_is_none), AfterValidator(_database_url), Field(repr=False)
]


class Settings(BaseSettings):
    """Everything that the environment can say."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    database_url: DatabaseUrl = None
    neon_db_url: DatabaseUrl = None
    database_direct_url: DatabaseUrl = None
    better_auth_secret: SecretStr | None = None
    better_auth_url: Annotated[str, AfterValidator(_origin)] = "http://localhost:3000"
    better_auth_jwks_url: Annotated[str, AfterValidator(_http_url)] | None = None
    better_auth_cookie_prefix: Annotated[str, AfterValidator(_cookie_part)] = "better-auth"
    cookie_domain: Annotated[str, AfterValidator(_domain)] | None = None
    session_expires_in: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    session_update_age: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    jwt_expiry_days: Annotated[int, Field(ge=1, le=365)] = 7
    sign_up: bool = True
    require_email_verification: bool = False
    shared_secret_tokens: bool = True
    hide_foreign_tasks: bool = False
    api_host: str = "0.0.0.0"  # noqa: S104
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    api_root_path: Annotated[str, AfterValidator(_prefix)] = ""
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)] = (
        "http://localhost:3000",
    )
    taskport_data_dir: Path = Path(".data")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)] = ()
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    rate_limit: Annotated[Limits, NoDecode, BeforeValidator(_limits)] = (Limit(600, 60),)
    auth_rate_limit: Annotated[Limits, NoDecode, BeforeValidator(_limits)] = (Limit(10, 300),)
    rate_limit_storage: Annotated[str, AfterValidator(_storage), Field(repr=False)] = "memory://"
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0
    slow_query_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    debug: bool = False
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = (
        "info"
    )
    log_format: Annotated[Literal["json", "console"] | None, BeforeValidator(_lower)] = None

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: dict[str, object]) -> dict[str, object]:
        """An empty limit is none at all; anywhere else nothing is the same as not saying it."""
        return {k: v for k, v in given.items() if v != "" or k in _MAY_BE_EMPTY}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if None not in (self.database_url, self.neon_db_url) and (
            self.database_url != self.neon_db_url
        ):
            raise ValueError("DATABASE_URL and NEON_DB_URL name two databases: set one of them")
        secret = self.better_auth_secret
        if secret is not None and len(secret.get_secret_value()) < SECRET_MIN_LENGTH:
            raise ValueError(
                f"BETTER_AUTH_SECRET must have at least {SECRET_MIN_LENGTH} characters:"
                " make one with `openssl rand -base64 32`"
            )
        if secret is not None and secret.get_secret_value() == _PUBLISHED_SECRET:
            raise ValueError(
                "BETTER_AUTH_SECRET is the one that Better Auth falls back on, which everybody"
                " knows: make one with `openssl rand -base64 32`"
            )
        if secret is None and self.url is not None:
            raise ValueError(
                "BETTER_AUTH_SECRET must be set along with a database URL: to the very value that"
                " the Better Auth server uses"
            )
        return self

    @property
    def url(self) -> str | None:
        """The database, or None for the embedded one."""
        return self.database_url or self.neon_db_url

    @property
    def direct_url(self) -> str | None:
        """The database past any pooler, for migrations."""
        if self.database_direct_url is not None or self.url is None:
            return self.database_direct_url
        return _past_the_pooler(self.url)

    @property
    def secret(self) -> str:
        """Empty until it is known: with the embedded database it lies beside the data."""
        return self.better_auth_secret.get_secret_value() if self.better_auth_secret else ""

    @property
    def jwks_url(self) -> str:
        """Where the keys of the Better Auth server's `jwt` plugin are."""
        return self.better_auth_jwks_url or f"{self.better_auth_url}/api/auth/jwks"

    @property
    def effective_log_level(self) -> str:
        """`DEBUG` implies the debug level."""
        return "debug" if self.debug else self.log_level

    @property
    def effective_log_format(self) -> Literal["json", "console"] | None:
        """`DEBUG` implies the console format; None means it depends on the terminal."""
        return self.log_format or ("console" if self.debug else None)

    @property
    def session_policy(self) -> SessionPolicy:
        return SessionPolicy(
            lifetime=timedelta(seconds=self.session_expires_in),
            update_age=timedelta(seconds=self.session_update_age),
        )

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(days=self.jwt_expiry_days)

    def with_database(self, url: str, secret: str) -> Self:
        """The same settings with the database and the secret of an embedded server."""
        return self.model_copy(
            update={
                "database_url": url,
                "database_direct_url": None,
                "better_auth_secret": SecretStr(secret),
            }
        )


def problems(error: ValidationError) -> list[str]:
    """What is wrong with the settings, a line each; no value is quoted."""
    lines = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        reason = problem["msg"].removeprefix("Value error, ")
        name = "_".join(str(part) for part in problem["loc"]).upper()
        lines.append(f"{name} {reason[0].lower()}{reason[1:]}" if name else reason)
    return lines
