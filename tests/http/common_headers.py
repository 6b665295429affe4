"""The headers that every response has."""

from typing import Final

import httpx

from tests.http.client import ORIGIN

STRICT_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"


def items_of(response: httpx.Response, name: str) -> list[str]:
    """The items of a header that is a list, however it is split."""
    return [item.strip() for value in response.headers.get_list(name) for item in value.split(",")]


def assert_common_headers(
    response: httpx.Response, policy: str = STRICT_POLICY, origin: str | None = ORIGIN
) -> None:
    """Check the headers of every response. `origin` is the one that can read it, if any."""
    headers = response.headers
    once = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "content-security-policy": policy,
    }
    for name, value in once.items():
        assert headers.get_list(name) == [value], name
    assert headers.get("access-control-allow-origin") == origin
    if origin is not None:
        assert headers.get_list("access-control-allow-credentials") == ["true"]
    assert len(headers.get_list("x-request-id")) == 1
    assert "Origin" in items_of(response, "vary")
    assert "server" not in headers
    assert "x-powered-by" not in headers
    assert "strict-transport-security" not in headers
    if response.content:
        assert headers["content-type"] != ""
        assert int(headers["content-length"]) == len(response.content)
