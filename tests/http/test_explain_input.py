"""Forms in which `taskport explain` can read a credential or a reason."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asgi import refusals
from domain.refusals import Reason
from entrypoints.explain import examine, render
from entrypoints.explain_input import headers_in, reason_in
from tests.http.api import TASKS
from tests.http.client import ORIGIN, send_json
from tests.http.credentials import plugin_token, signed
from tests.http.refusals import backend_with
from tests.http.test_explain import explain


async def test_input_has_many_forms() -> None:
    backend, session = backend_with({})
    token, value = plugin_token(), signed(session.token)
    name = "better-auth.session_token"
    for text in (
        token,
        f"  {token}\r\n",
        f"{token[:60]}\n{token[60:]}\n",
        f"Bearer {token}",
        f"authorization:bearer {token}",
        f"AUTHORIZATION: Bearer {token}\r\nX-Other: 1\r\n",
        f"-H 'Authorization: Bearer {token}'",
        f"curl http://x/api/tasks \\\n  -H 'accept: */*' \\\n  -H 'Authorization: Bearer {token}'",
        f"curl -b '{name}={value}' http://x",
        f"GET /api/tasks HTTP/1.1\r\nHost: x\r\nCookie: a=b; {name}={value}\r\n\r\n",
        f"Cookie: a=b\nCookie: {name}={value}",
        f"Set-Cookie: {name}={value}; Path=/; HttpOnly",
        f"{name}={value}",
        f"cookie: {name}={value}".upper().replace(name.upper(), name).replace(value.upper(), value),
        f"ï»¿Cookie: {name}={value}",
        f"Authorization: Bearer {token[:60]}\n{token[60:]}\n",
        f"Cookie: {name}={value[:20]}\n{value[20:]}\n",
        f"Cookie: a=b;\r\n {name}={value}\r\n",
        f"Authorization: Bearer\r\n\t{token}\r\n",
        f"Cookie: {name}={value}\r\n\r\n{{}}",
        f":authority:\nx\n:path:\n/\naccept:\n*/*\ncookie:\n{name}={value}\norigin:\n{ORIGIN}\n",
        f"Origin:\nCookie: {name}={value}",
        f"* Connected\n> GET / HTTP/1.1\n> Cookie: {name}={value}\n>\n< HTTP/1.1 401\n< a: b\n{{}}",
        f'{{"cookie": "{name}={value}",\n "origin": "{ORIGIN}"}}',
        f'fetch("http://x", {{"headers": {{"Authorization": "Bearer {token}"}}}});',
        f'{{"headers":[{{"name":"Cookie","value":"{name}={value}"}}]}}',
        f"{name}\t{value}\tlocalhost\t/\t2026-12-07T09:44:48.000Z\t104\t✓\t\tLax",
        f'{name}:"{value}"',
        f"{name} = {value}",
        f"{name}={value}; theme=dark",
        f"curl x -H $'cookie: {name}={value}'",
        f"curl x -H'Cookie: {name}={value}'",
        f"curl x --header='Cookie: {name}={value}'",
        f"curl x --cookie={name}={value}",
        f"curl --oauth2-bearer {token} x",
        f'curl ^"http://x^" ^\r\n  -H ^"cookie: {name}={value}^"'.replace("%", "^%^"),
        value,
        session.token,
    ):
        explanation, _ = await explain(backend, text)
        assert explanation.identity is not None, text
        assert explanation.identity.user.id == "ann"


async def test_bare_cookies_are_all_read() -> None:
    backend, session = backend_with({})
    cookie = f"better-auth.session_token={signed(session.token)}"
    explanation, _ = await explain(backend, f"{cookie}; {cookie}x")
    assert explanation.refusal is not None
    assert explanation.refusal.reason is Reason.TWO_COOKIES


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \r\n\t",
        "GET / HTTP/1.1\nHost: x\n",
        "Accept: */*",
        "curl http://x",
        "curl -H 'Cookie: a=b",
        '{"event":"request","status":200,"reason":null}',
    ],
)
def test_nothing_to_explain(text: str) -> None:
    assert headers_in(text) is None
    assert reason_in(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "wrong_issuer",
        " WRONG_ISSUER\n",
        '{"event":"request","error_code":"UNAUTHENTICATED","reason":"wrong_issuer"}',
        "12:00:00 [info] request  error_code=UNAUTHENTICATED reason=wrong_issuer",
    ],
)
def test_reason_from_the_log(text: str) -> None:
    assert reason_in(text) is Reason.WRONG_ISSUER


@pytest.mark.parametrize(
    "text",
    [
        "no_such_reason",
        '"reason":"x"',
        f"Bearer {'x' * 32}",
        "Cookie: reason=jwt_expired",
        "reason=jwt_expired; better-auth.session_token=x",
        "curl -H 'cookie: reason=jwt_expired' x",
    ],
)
def test_other_text_is_no_reason(text: str) -> None:
    assert reason_in(text) is None


GARBAGE: Final = st.one_of(
    st.text(max_size=80),
    st.from_regex(r"[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_-]{0,20}\.[A-Za-z0-9_%=-]{0,20}"),
    st.from_regex(r"(Bearer|Basic|better-auth\.session_token=)? ?[!-~]{0,40}", fullmatch=True),
)


@settings(max_examples=300)
@given(name=st.sampled_from(["Cookie", "Authorization", "Origin", ""]), value=GARBAGE)
async def test_garbage_crashes_neither(name: str, value: str) -> None:
    backend, _ = backend_with({})
    refusals.forget_warnings()
    text = f"{name}: {value}" if name else value
    headers = headers_in(text)
    if headers is None:
        return
    explanation = await examine(backend.service, backend.settings, headers)
    rendered = render(explanation, backend.settings, backend.service.cookies.name)
    assert rendered.replace("\n", "").isprintable()
    sent = [(n.decode(), v.decode("latin-1")) for n, v in headers.raw]
    response = await send_json(backend.app, "GET", TASKS, sent)
    assert response.status_code == 401
