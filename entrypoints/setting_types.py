"""The types of settings: how the text of a variable is parsed, and what is rejected.

No error message quotes a value, which may be a secret.
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qs, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from adapters.postgres.better_auth_models import MODEL_NAMES
from adapters.postgres.layout import ModelOptions
from application.limits import Limits
from entrypoints.limits import parse_limits
from entrypoints.origins import ascii_host, origin, web_origin

_MODELS_EXAMPLE: Final = (
    '{"user": {"modelName": "people", "fields": {"emailVerified": "verified"}}}'
)


def _origins(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(origin(part) for part in text.split(",") if part.strip())


def _database_url(url: str | None) -> str | None:
    """The URL for libpq. SQLAlchemy's `postgresql+driver://` is accepted as well."""
    if url is None:
        return None
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    if not url.startswith("postgresql://"):
        raise ValueError("must start with postgres:// or postgresql://")
    try:
        parameters = conninfo_to_dict(url)
    except ProgrammingError as error:
        # libpq's messages quote parts of the URL; the name of an unknown parameter is no secret.
        unknown = re.search(r'invalid URI query parameter: "(\w{1,40})"', str(error))
        raise ValueError(
            f"has the parameter {unknown[1]}, which libpq does not know"
            if unknown
            else "is not a connection URL that libpq understands"
        ) from None
    # libpq would take a part of the password for the host or the port, and quote it in its error.
    host, port = (str(parameters.get(name, "")) for name in ("host", "port"))
    if "@" in host or not re.fullmatch(r"[\d,]*", port):
        raise ValueError("has a password that must be percent-encoded (`@` as %40, `/` as %2F)")
    return url


def without_pooler(url: str) -> str:
    """The URL without the `-pooler` of a Neon host. Other URLs are not changed."""
    scheme, rest = url.split("://", 1)
    authority, *tail = re.split(r"(?=[/?])", rest, maxsplit=1)
    user, at, hosts = authority.rpartition("@")
    hosts = re.sub(r"-pooler(?=(\.[\w-]+)*\.neon\.tech\b)", "", hosts)
    return f"{scheme}://{user}{at}{hosts}{''.join(tail)}"


def _url_path(path: str) -> str:
    """The path without a trailing slash."""
    path = path.strip().rstrip("/")
    if not re.fullmatch(r"(/[\w.~-]+)*", path, re.ASCII):
        raise ValueError("must be a path such as /backend")
    return path


def _http_url(url: str) -> str:
    """An http(s) URL with any path."""
    web_origin(url)
    return url.strip()


def _keys_url(url: str) -> str:
    """An http(s) URL, or `none`."""
    return "none" if url.strip().lower() == "none" else _http_url(url)


def _models(text: object) -> object:
    """The options of Better Auth's models, in the JSON form that Better Auth itself has."""
    if not isinstance(text, str):
        return text
    try:
        models = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"must be JSON such as {_MODELS_EXAMPLE}") from None
    if not isinstance(models, dict):
        raise ValueError(f"must be JSON such as {_MODELS_EXAMPLE}")
    return {name: _model(name, options) for name, options in models.items()}


def _model(name: str, options: Any) -> ModelOptions:
    if name not in MODEL_NAMES:
        raise ValueError(f"must not name a model other than {', '.join(MODEL_NAMES)}")
    if not isinstance(options, dict):
        raise ValueError(f"must have an object for {name}, such as {_MODELS_EXAMPLE}")
    table, columns = options.get("modelName"), options.get("fields", {})
    is_named = table is None or (isinstance(table, str) and table)
    is_mapped = isinstance(columns, dict) and all(isinstance(c, str) for c in columns.values())
    if not is_named or not is_mapped:
        raise ValueError(
            f"must have a text as modelName and texts in fields for {name},"
            f" such as {_MODELS_EXAMPLE}"
        )
    return ModelOptions(table, columns)


def _limits(text: object) -> object:
    return parse_limits(text) if isinstance(text, str) else text


def _counters_url(url: str) -> str:
    if url != "memory://" and not _is_redis_url(url):
        raise ValueError("must be memory:// or redis://host:port/0")
    return url


def _sessions(text: str) -> str:
    """`database`, `remote`, the URL of a Redis, or the URL of Better Auth's API."""
    text = text.strip()
    if text.lower() in ("database", "remote"):
        return text.lower()
    if text.startswith(("http://", "https://")):
        parts = urlsplit(_http_url(text))
        if parts.query or parts.fragment:
            raise ValueError("must be an URL without query and fragment")
        return text.rstrip("/")
    if not _is_redis_url(text):
        raise ValueError("must be database, remote, or redis://host:port/0")
    return text


def _is_redis_url(url: str) -> bool:
    # Imported only if it is used: the client takes a while to load.
    from redis.connection import ConnectionPool  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        is_redis = (
            bool(parts.hostname)
            and parts.port != 0
            and parts.path[1:].isdecimal() is (parts.path not in ("", "/"))
        )
        if "decode_responses" in parse_qs(parts.query):
            return False
        # The client checks parameters only when it makes a connection, which is not opened here.
        ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError):
        return False
    return is_redis and parts.scheme in ("redis", "rediss")


def _hosts(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(_host(part.strip().lower()) for part in text.split(",") if part.strip())


def _host(text: str) -> str:
    wildcard = "*." if text.startswith("*.") else ""
    try:
        host = text if text.isascii() else wildcard + ascii_host(text.removeprefix(wildcard))
    except ValueError:
        host = ""
    if not re.fullmatch(r"(\*\.)?[a-z0-9_.-]+|\[[0-9a-f:.]+\]", host):
        raise ValueError("must be names such as api.example.com or *.example.com, without ports")
    return host


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


DatabaseUrl = Annotated[
    str | None, BeforeValidator(_empty_is_none), AfterValidator(_database_url), Field(repr=False)
]
Origin = Annotated[str, AfterValidator(web_origin)]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
KeysUrl = Annotated[str, AfterValidator(_keys_url)]
UrlPath = Annotated[str, AfterValidator(_url_path)]
HostNames = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
Models = Annotated[Mapping[str, ModelOptions], NoDecode, BeforeValidator(_models)]
RateLimits = Annotated[Limits, NoDecode, BeforeValidator(_limits)]
CountersUrl = Annotated[str, AfterValidator(_counters_url), Field(repr=False)]
Sessions = Annotated[str, AfterValidator(_sessions), Field(repr=False)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(_lower)]
