"""The types of the settings about cookies: Better Auth's options, as JSON in its own form."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

from adapters.better_auth.cookie_options import COOKIE_KEYS, CookieOption

_ATTRIBUTES_EXAMPLE: Final = '{"sameSite": "none", "secure": true}'
_COOKIES_EXAMPLE: Final = '{"session_token": {"name": "sid", "attributes": {"path": "/"}}}'
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def cookie_prefix(text: str) -> str:
    """The first part of a cookie's name (RFC 6265, 4.1.1: a token)."""
    if not _TOKEN.fullmatch(text):
        raise ValueError("must be letters, digits, dots and dashes")
    return text


def cookie_domain(text: str) -> str:
    """The domain of a cookie, without the leading dot that old browsers required."""
    domain = text.strip().lower().removeprefix(".")
    if not re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*", domain):
        raise ValueError("must be a domain such as example.com")
    return domain


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _same_site(value: Any) -> str:
    if not isinstance(value, str) or value.lower() not in ("lax", "strict", "none"):
        raise ValueError("lax, strict or none")
    return value.capitalize()


def _path(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-:<-~]*", value):
        raise ValueError("a path such as /")
    return value


def _domain(value: Any) -> str | None:
    if value is None or value == "":
        return None
    try:
        return cookie_domain(value)
    except (ValueError, AttributeError):
        raise ValueError("a domain such as example.com, or null") from None


#: By attribute: the function that cleans its value, or raises `ValueError` with what it must be.
_ATTRIBUTES: Final[Mapping[str, Callable[[Any], object]]] = {
    "domain": _domain,
    "path": _path,
    "secure": _boolean,
    "httpOnly": _boolean,
    "sameSite": _same_site,
    "partitioned": _boolean,
}


def _object(text: str, example: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"must be JSON such as {example}")
    return value


def _attributes(values: Mapping[str, Any]) -> dict[str, object]:
    if not values.keys() <= _ATTRIBUTES.keys():
        raise ValueError(f"must have no attributes other than {', '.join(_ATTRIBUTES)}")
    cleaned = {}
    for name, value in values.items():
        try:
            cleaned[name] = _ATTRIBUTES[name](value)
        except ValueError as error:
            raise ValueError(f"must have as {name} {error}") from None
    return cleaned


def _default_attributes(value: object) -> object:
    return _attributes(_object(value, _ATTRIBUTES_EXAMPLE)) if isinstance(value, str) else value


def _cookies(value: object) -> object:
    if not isinstance(value, str):
        return value
    options = _object(value, _COOKIES_EXAMPLE)
    return {key: _cookie(key, option) for key, option in options.items()}


def _cookie(key: str, option: Any) -> CookieOption:
    if key not in COOKIE_KEYS:
        raise ValueError(f"must not have a cookie other than {', '.join(COOKIE_KEYS)}")
    if not isinstance(option, dict) or not option.keys() <= {"name", "attributes"}:
        raise ValueError(f"must have only name and attributes for {key}: {_COOKIES_EXAMPLE}")
    name, attributes = option.get("name"), option.get("attributes", {})
    if name is not None and not (isinstance(name, str) and _TOKEN.fullmatch(name)):
        raise ValueError(f"must have as name of {key} letters, digits, dots and dashes")
    if not isinstance(attributes, dict):
        raise ValueError(f"must have an object as attributes of {key}: {_COOKIES_EXAMPLE}")
    return CookieOption(name, _attributes(attributes))


CookiePrefix = Annotated[str, AfterValidator(cookie_prefix)]
CookieDomain = Annotated[str, AfterValidator(cookie_domain)]
DefaultCookieAttributes = Annotated[
    Mapping[str, Any], NoDecode, BeforeValidator(_default_attributes)
]
Cookies = Annotated[Mapping[str, CookieOption], NoDecode, BeforeValidator(_cookies)]
