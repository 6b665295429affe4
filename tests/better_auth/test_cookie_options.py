"""Names and attributes of cookies follow Better Auth's options, as Better Auth computes them."""

from typing import Any

import pytest

from adapters.better_auth.cookie_options import COOKIE_KEYS, CookieOption, CookieOptions

SID = CookieOption("sid", {"path": "/own", "partitioned": True})


def test_attributes_of_a_cookie_come_before_the_defaults() -> None:
    options = CookieOptions(
        domain="example.com",
        is_secure=True,
        default_attributes={"path": "/all", "domain": None, "httpOnly": False},
        cookies={"session_token": SID},
    )
    cookies = options.all()
    assert tuple(cookies) == COOKIE_KEYS
    assert cookies["session_token"].set("x", 5) == (
        "__Secure-sid=x; Max-Age=5; Path=/own; Secure; SameSite=Lax; Partitioned"
    )
    assert cookies["dont_remember"].set("x", None) == (
        "__Secure-better-auth.dont_remember=x; Path=/all; Secure; SameSite=Lax"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"default_attributes": {"sameSite": "None"}}, "SameSite=None, but not Secure"),
        ({"cookies": {"session_token": SID}}, "Partitioned, but not Secure"),
        ({"cookies": {"session_data": CookieOption("__Secure-x")}}, "but not Secure"),
        ({"cookies": {"session_data": CookieOption("__host-x")}}, "but not Secure"),
        ({"is_secure": True, "default_attributes": {"secure": False}}, "but not Secure"),
        (
            {
                "cookies": {
                    "session_token": CookieOption("__Host-x", {"secure": True, "path": "/a"})
                }
            },
            "must have no domain, and the path /",
        ),
        (
            {
                "domain": "example.com",
                "cookies": {"session_token": CookieOption("__Host-x", {"secure": True})},
            },
            "must have no domain, and the path /",
        ),
    ],
)
def test_cookie_that_browsers_reject_is_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CookieOptions(**options).check()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_secure": True, "default_attributes": {"sameSite": "None", "partitioned": True}},
        {"default_attributes": {"secure": True, "sameSite": "None"}},
        {"cookies": {"session_token": CookieOption("__Host-x", {"secure": True})}},
        # Its name begins with `__Secure-` then.
        {
            "is_secure": True,
            "domain": "a.b",
            "cookies": {"session_token": CookieOption("__Host-x")},
        },
    ],
)
def test_cookie_that_browsers_accept_is_none(options: dict[str, Any]) -> None:
    CookieOptions(**options).check()
