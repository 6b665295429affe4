"""The settings, read once from the environment and `.env`. No other module reads either."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from adapters.better_auth.cookie_options import CookieOptions
from adapters.postgres.layout import LayoutOptions
from adapters.postgres.tables import SCHEMA
from application.limits import Limit
from application.sign_in import PASSWORD_MAX_LENGTH, PASSWORD_MIN_LENGTH, PasswordPolicy
from domain.sessions import SessionPolicy
from entrypoints.cookie_types import (
    CookieDomain,
    CookiePrefix,
    Cookies,
    DefaultCookieAttributes,
)
from entrypoints.secret_types import Secret, Secrets
from entrypoints.setting_types import (
    CountersUrl,
    DatabaseUrl,
    HostNames,
    KeysUrl,
    LogFormat,
    LogLevel,
    Models,
    Origin,
    Origins,
    RateLimits,
    Sessions,
    UrlPath,
    without_pooler,
)

#: Settings for which an empty value is not the default, but means none.
_MAY_BE_EMPTY: Final = frozenset({"rate_limit", "auth_rate_limit", "better_auth_redis_prefix"})


class Settings(BaseSettings):
    """All settings. A field in upper case is the name of its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    #: The PostgreSQL database, `postgresql://user:password@host/name`. Empty: the embedded one.
    database_url: DatabaseUrl = None
    #: The same under Neon's name for it. Set one of the two.
    neon_db_url: DatabaseUrl = None
    #: The database past its pooler, for migrations. Empty: `DATABASE_URL` without Neon's
    #: `-pooler`.
    database_direct_url: DatabaseUrl = None
    #: The secret of the Better Auth server, 32 characters or more. Required with a database URL,
    #: unless `BETTER_AUTH_SESSIONS` is `remote`.
    better_auth_secret: Secret | None = None
    #: Better Auth's list of secrets, `2:<new>,1:<old>`, instead of `BETTER_AUTH_SECRET`. The first
    #: one signs, and verifies session cookies; the others still verify tokens with an expiry.
    better_auth_secrets: Secrets = ()
    #: The origin of the Better Auth server.
    better_auth_url: Origin = "http://localhost:3000"
    #: Where the public keys of its JWTs are, beside the `jwks` table; `none`: only in the table.
    #: Empty: `BETTER_AUTH_URL/api/auth/jwks`; without a configured database, `none`.
    better_auth_jwks_url: KeysUrl | None = None
    #: Where Better Auth keeps its sessions: `database`; its `secondaryStorage`,
    #: `redis://:password@host:6379/0` or `rediss://…`; or `remote`, where only the Better Auth
    #: server itself can find them: it is asked at `BETTER_AUTH_URL/api/auth`, or at an URL here
    #: such as `http://better-auth:3000/api/auth`.
    better_auth_sessions: Sessions = "database"
    #: The `keyPrefix` of Better Auth's Redis storage. Empty: none.
    better_auth_redis_prefix: str = "better-auth:"
    #: For how many seconds a remote session is remembered, and so may outlive its end; 0: not at
    #: all.
    better_auth_session_cache: Annotated[float, Field(ge=0, le=300)] = 5
    #: The schema of Better Auth's tables, or the one in which they are to be created. Empty: found
    #: in the catalog, created in `public`.
    better_auth_schema: str = ""
    #: The options `modelName` and `fields` of Better Auth's models, as JSON in Better Auth's own
    #: form: `{"user": {"modelName": "people", "fields": {"emailVerified": "verified"}}}`. Only for
    #: names that do not tell.
    better_auth_models: Models = {}
    #: Better Auth's `advanced.cookiePrefix`.
    better_auth_cookie_prefix: CookiePrefix = "better-auth"
    #: Better Auth's `advanced.crossSubDomainCookies.domain`, such as example.com. Empty: this host
    #: alone.
    cookie_domain: CookieDomain | None = None
    #: Better Auth's `advanced.useSecureCookies`. Empty: true if `BETTER_AUTH_URL` is https.
    better_auth_use_secure_cookies: bool | None = None
    #: Better Auth's `advanced.cookies`, as JSON in Better Auth's own form: `{"session_token":
    #: {"name": "sid", "attributes": {"path": "/"}}}`. Also for `session_data`, `account_data` and
    #: `dont_remember`.
    better_auth_cookies: Cookies = {}
    #: Better Auth's `advanced.defaultCookieAttributes`, as JSON in Better Auth's own form:
    #: `{"sameSite": "none", "secure": true, "partitioned": true}`. Also `domain`, `path` and
    #: `httpOnly`.
    better_auth_default_cookie_attributes: DefaultCookieAttributes = {}
    #: Better Auth's `session.expiresIn`: the lifetime of a session in seconds.
    session_expires_in: Annotated[int, Field(ge=60, le=31_536_000)] = 604_800
    #: Better Auth's `session.updateAge`: the age in seconds at which a session is prolonged.
    session_update_age: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    #: Better Auth's `session.disableSessionRefresh`: whether sessions are never prolonged.
    disable_session_refresh: bool = False
    #: Better Auth's `advanced.ipAddress.disableIpTracking`: whether sessions that begin here have
    #: no address of the client.
    disable_ip_tracking: bool = False
    #: The lifetime in days of an access token, and the longest one of a token that the front end's
    #: server signed.
    jwt_expiry_days: Annotated[int, Field(ge=1, le=365)] = 7
    #: The longest lifetime in seconds of a JWT that Better Auth signed, `exp` - `iat`. Empty: any.
    jwt_max_lifetime: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    #: Better Auth's `emailAndPassword.enabled`: whether users can sign up and log in with a
    #: password at this service.
    email_and_password: bool = True
    #: Whether users can sign up at this service.
    sign_up: bool = True
    #: Better Auth's `emailAndPassword.autoSignIn`: whether sign-up creates a session.
    auto_sign_in: bool = True
    #: Whether log-in requires a verified e-mail address.
    require_email_verification: bool = False
    #: Better Auth's `emailAndPassword.minPasswordLength`, in UTF-16 code units.
    min_password_length: Annotated[int, Field(ge=1, le=10_000)] = PASSWORD_MIN_LENGTH
    #: Better Auth's `emailAndPassword.maxPasswordLength`, in UTF-16 code units.
    max_password_length: Annotated[int, Field(ge=1, le=10_000)] = PASSWORD_MAX_LENGTH
    #: Better Auth's `user.deleteUser.enabled`: whether users can delete their account at this
    #: service.
    delete_user: bool = True
    #: The option `requireSignature` of Better Auth's `bearer` plugin: whether a session token is
    #: accepted as a bearer only with its signature.
    bearer_require_signature: bool = False
    #: Whether tokens that the front end's server signed with the secret are accepted.
    shared_secret_tokens: bool = True
    #: Whether a task of another user is 404, as if it did not exist, instead of 403.
    hide_foreign_tasks: bool = False
    #: The address to listen on.
    api_host: str = "0.0.0.0"  # noqa: S104
    #: The port to listen on; 0: any free one.
    api_port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    #: The path under which a rewrite mounts this service, such as `/backend`, and which the
    #: rewrite takes off.
    api_root_path: UrlPath = ""
    #: The origins whose pages may call this service from a browser, separated by commas; `*` is
    #: rejected.
    cors_origins: Origins = ("http://localhost:3000",)
    #: The folder of the embedded database and of the generated secret.
    taskport_data_dir: Path = Path(".data")
    #: The host names under which the service may be called, such as api.example.com. Empty: any.
    allowed_hosts: HostNames = ()
    #: How many of your proxies are in front of the service; the client is the caller of the first
    #: one. Clients must not be able to reach the port past them, or they can claim any address.
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    #: The rate limit of a user, and of an address for anonymous requests. Empty: no limit.
    rate_limit: RateLimits = (Limit(600, 60),)
    #: The rate limit of failed log-ins per account and per address, and of sign-ups per address.
    #: Empty: no limit.
    auth_rate_limit: RateLimits = (Limit(10, 300),)
    #: Where requests are counted: `memory://` (each worker for itself) or `redis://host:6379/0`
    #: (all workers together).
    rate_limit_storage: CountersUrl = "memory://"
    #: How many seconds `/readyz` fails after SIGTERM before the service stops listening.
    drain_seconds: Annotated[float, Field(ge=0, le=300)] = 0
    #: The duration in milliseconds from which a statement is logged as slow.
    slow_query_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    #: Whether to log at level debug, in the console format, and to let `taskport token` sign for a
    #: configured database.
    debug: bool = False
    #: The lowest level that is logged.
    log_level: LogLevel = "info"
    #: The format of the log. Empty: console on a terminal or with DEBUG, json elsewhere.
    log_format: LogFormat | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: dict[str, object]) -> dict[str, object]:
        return {k: v for k, v in values.items() if v != "" or k in _MAY_BE_EMPTY}

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        if None not in (self.database_url, self.neon_db_url) and (
            self.database_url != self.neon_db_url
        ):
            raise ValueError("DATABASE_URL and NEON_DB_URL name two databases: set one of them")
        if not self.secrets and self.url is not None and not self.has_remote_sessions:
            raise ValueError(
                "BETTER_AUTH_SECRET must be set if there is a database URL, to the secret of the"
                " Better Auth server"
            )
        if self.better_auth_schema == SCHEMA and not self.is_sign_in_elsewhere:
            raise ValueError(f"BETTER_AUTH_SCHEMA must not be {SCHEMA}, which has our own tables")
        if self.min_password_length > self.max_password_length:
            raise ValueError("MIN_PASSWORD_LENGTH must not be greater than MAX_PASSWORD_LENGTH")
        try:
            self.cookie_options.check()
        except ValueError as error:
            raise ValueError(
                f"BETTER_AUTH_COOKIES or BETTER_AUTH_DEFAULT_COOKIE_ATTRIBUTES is wrong: {error}"
            ) from None
        return self

    @property
    def url(self) -> str | None:
        """The URL of the database; None for the embedded one."""
        return self.database_url or self.neon_db_url

    @property
    def direct_url(self) -> str | None:
        """The URL of the database without a pooler, for migrations."""
        if self.database_direct_url is not None or self.url is None:
            return self.database_direct_url
        return without_pooler(self.url)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets, the current one first; none if it is the generated one and has not been
        loaded yet.
        """
        secrets = self.better_auth_secrets or (self.better_auth_secret,)
        return tuple(secret.get_secret_value() for secret in secrets if secret is not None)

    @property
    def jwks_url(self) -> str | None:
        """The URL of the public keys of the Better Auth server; None if none is to be used."""
        if self.better_auth_jwks_url == "none":
            return None
        return self.better_auth_jwks_url or f"{self.better_auth_url}/api/auth/jwks"

    @property
    def has_remote_sessions(self) -> bool:
        """Whether only the Better Auth server can find sessions."""
        return self.better_auth_sessions.startswith(("remote", "http:", "https:"))

    @property
    def sessions_url(self) -> str:
        """The URL of Better Auth's API, for remote sessions."""
        if self.better_auth_sessions == "remote":
            return f"{self.better_auth_url}/api/auth"
        return self.better_auth_sessions

    @property
    def is_sign_in_elsewhere(self) -> bool:
        """Whether sessions begin, and accounts change, at Better Auth alone."""
        return self.better_auth_sessions != "database"

    @property
    def cookie_options(self) -> CookieOptions:
        is_secure = self.better_auth_use_secure_cookies
        return CookieOptions(
            prefix=self.better_auth_cookie_prefix,
            is_secure=self.better_auth_url.startswith("https:") if is_secure is None else is_secure,
            domain=self.cookie_domain,
            default_attributes=self.better_auth_default_cookie_attributes,
            cookies=self.better_auth_cookies,
        )

    @property
    def layout_options(self) -> LayoutOptions:
        return LayoutOptions(
            self.better_auth_schema,
            self.better_auth_models,
            has_sessions=not self.is_sign_in_elsewhere,
        )

    @property
    def effective_log_level(self) -> str:
        """`DEBUG` implies the debug level."""
        return "debug" if self.debug else self.log_level

    @property
    def effective_log_format(self) -> Literal["json", "console"] | None:
        """`DEBUG` implies the console format. None: console on a terminal, else JSON."""
        return self.log_format or ("console" if self.debug else None)

    @property
    def password_policy(self) -> PasswordPolicy:
        return PasswordPolicy(self.min_password_length, self.max_password_length)

    @property
    def session_policy(self) -> SessionPolicy:
        return SessionPolicy(
            lifetime=timedelta(seconds=self.session_expires_in),
            update_age=timedelta(seconds=self.session_update_age),
            # Better Auth alone prolongs a session that only it can find.
            is_fixed=self.disable_session_refresh or self.has_remote_sessions,
            tracks_ip_address=not self.disable_ip_tracking,
        )

    @property
    def jwt_max_age(self) -> timedelta | None:
        return None if self.jwt_max_lifetime is None else timedelta(seconds=self.jwt_max_lifetime)

    @property
    def token_lifetime(self) -> timedelta:
        return timedelta(days=self.jwt_expiry_days)

    def with_local_database(self, url: str | None) -> Self:
        """The same settings with the database of an embedded server, or with none.

        The default URL of the keys is then not believed: any local user can listen on its port.
        """
        return self.model_copy(
            update={
                "database_url": url,
                "neon_db_url": None,
                "database_direct_url": None,
                "better_auth_jwks_url": self.better_auth_jwks_url or "none",
            }
        )

    def with_secret(self, secret: str) -> Self:
        """The same settings with a generated secret."""
        return self.model_copy(update={"better_auth_secret": SecretStr(secret)})
