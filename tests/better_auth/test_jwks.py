"""The keys of a provider: fetched rarely, at hand always, gone when it says so."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from adapters.better_auth.jwks import RemoteKeys
from adapters.better_auth.keys import PublicKey
from domain.errors import Unavailable
from tests.better_auth.provider import Provider, key_set, response
from tests.better_auth.signer import Signer, signer
from tests.conftest import Logged

A, B, C = signer("a"), signer("b"), signer("c")
Skip = Callable[[float], None]


pytestmark = pytest.mark.slow


def at_once(finding: Coroutine[Any, Any, PublicKey | None]) -> PublicKey | None:
    """What is found without waiting for anything."""
    try:
        finding.send(None)
    except StopIteration as done:
        found: PublicKey | None = done.value
        return found
    finding.close()
    raise AssertionError("it waits")


async def until(happened: Callable[[], object]) -> None:
    while not happened():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def settled() -> None:
    """What is about to happen without more time passing has had its chance."""
    for _ in range(200):
        await asyncio.sleep(0)


async def known(remote: RemoteKeys, provider: Provider, *signers: Signer) -> None:
    provider.show(*signers)
    for each in signers:
        assert await remote.find(each.kid) is not None
    assert provider.hits == 1


async def test_a_key_is_found(remote: RemoteKeys, provider: Provider) -> None:
    provider.show(A, signer("e", "ES256"), signer("r", "RS256"))
    for kid, algorithm in {"a": "EdDSA", "e": "ES256", "r": "RS256"}.items():
        found = await remote.find(kid)
        assert found is not None
        assert found.algorithms == {algorithm}
    assert provider.hits == 1


async def test_many_who_ask_at_first_cause_one_fetch(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.show(A)
    found = await asyncio.gather(*(remote.find("a") for _ in range(20)))
    assert None not in found
    assert provider.hits == 1


async def test_the_answer_is_asked_for_as_it_is(remote: RemoteKeys, provider: Provider) -> None:
    await known(remote, provider, A)
    assert provider.requests[0].startswith("GET /api/auth/jwks HTTP/1.1\r\n")
    assert "accept-encoding: identity\r\n" in provider.requests[0].lower()


async def test_keys_that_are_not_usable_are_passed_over(
    remote: RemoteKeys, provider: Provider
) -> None:
    odd: list[object] = [
        None,
        "text",
        [],
        {"kty": "oct", "k": "AAAA", "kid": "symmetric"},
        A.jwk(kid="private", d="AAAA"),
        A.jwk(kid="use", use="enc"),
        A.jwk(kid=None),
        A.jwk(kid=["list"]),
        A.jwk(kid=7),
    ]
    provider.answer = key_set([*odd, A.jwk()])
    kids = ("a", "symmetric", "private", "use")
    found = await asyncio.gather(*(remote.find(kid) for kid in kids))
    assert [key is not None for key in found] == [True, False, False, False]


@pytest.mark.parametrize("size", [0, 65_536])
async def test_an_answer_at_its_limits(remote: RemoteKeys, provider: Provider, size: int) -> None:
    text = json.dumps({"keys": [A.jwk(kid=str(n)) for n in range(128)]}).encode()
    provider.answer = response(text.ljust(size))
    assert await remote.find("31") is not None


def set_of(body: str) -> bytes:
    return response(body.encode())


GOOD = json.dumps({"keys": [A.jwk()]}).encode()
PACKED, BOMB = gzip.compress(GOOD), gzip.compress(GOOD.ljust(10_000_000))
WRONG = {
    "not found": (response(GOOD, status="404 Not Found"), "status 404"),
    "an error": (response(GOOD, status="500 Internal Server Error"), "status 500"),
    "created": (response(GOOD, status="201 Created"), "status 201"),
    "no content": (response(b"", status="204 No Content"), "status 204"),
    "nothing": (response(b""), "JSONDecodeError"),
    "garbage": (response(b"\x80garbage"), "UnicodeDecodeError"),
    "html": (response(b"<!doctype html><title>Sign in</title>"), "JSONDecodeError"),
    "a list": (set_of("[]"), "no key set"),
    "a word": (set_of('"keys"'), "no key set"),
    "null": (set_of("null"), "no key set"),
    "no keys": (set_of("{}"), "no key set"),
    "keys that are none": (set_of('{"keys": null}'), "no key set"),
    "keys by name": (set_of('{"keys": {"a": {}}}'), "no key set"),
    "too many keys": (key_set([A.jwk(kid=str(n)) for n in range(129)]), "too many keys"),
    "too deep": (set_of('{"keys": ' + "[" * 30_000), "RecursionError"),
    "too long by one": (response(GOOD.ljust(65_537)), "too long"),
    "ten megabytes": (response(GOOD.ljust(10_000_000)), "too long"),
    "no end in sight": (b"HTTP/1.1 200 OK\r\n\r\n" + GOOD.ljust(10_000_000), "too long"),
    "packed": (response(PACKED, Content_Encoding="gzip"), "UnicodeDecodeError"),
    "a bomb": (response(BOMB, Content_Encoding="gzip"), "UnicodeDecodeError"),
    "closed in the middle": (response(GOOD, length=9_999), "RemoteProtocolError"),
    "closed at once": (b"", "RemoteProtocolError"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "RemoteProtocolError"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_wrong_answer_is_none(
    remote: RemoteKeys,
    provider: Provider,
    skip: Skip,
    logged: Logged,
    wrong: str,
) -> None:
    provider.answer, reason = WRONG[wrong]
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert provider.hits == 1
    # What was answered is not repeated.
    assert logged == [{"event": "jwks_unavailable", "reason": reason, "log_level": "warning"}]
    # Nor does it take away what was known, or the way back.
    provider.show(A)
    skip(1)
    assert await remote.find("a") is not None
    provider.answer = WRONG[wrong][0]
    skip(1)
    with pytest.raises(Unavailable):
        await remote.find("b")
    assert at_once(remote.find("a")) is not None


async def test_a_redirect_is_not_followed(remote: RemoteKeys, provider: Provider) -> None:
    other = Provider()
    await other.start()
    other.show(A)
    provider.answer = response(b"", status="302 Found", Location=other.url)
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert other.hits == 0
    await other.stop()


async def test_no_proxy_of_the_environment_is_used(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Provider()
    await proxy.start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    remote = RemoteKeys(provider.url)
    await known(remote, provider, A)
    assert proxy.hits == 0
    await remote.close()
    await proxy.stop()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/keys", "http://", "http://[::1", "//x", "text"])
async def test_an_address_that_is_none(url: str) -> None:
    remote = RemoteKeys(url)
    with pytest.raises(Unavailable):
        await remote.find("a")
    await remote.close()


async def test_silence_is_given_up(remote: RemoteKeys, provider: Provider, skip: Skip) -> None:
    provider.gate.clear()
    asking = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    skip(2.5)
    await settled()
    assert not asking.done()
    skip(0.5)
    with pytest.raises(Unavailable):
        await asking


async def test_an_answer_that_trickles_is_given_up(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    provider.answer = response(b"{", length=60_000)
    provider.hang_up.clear()
    asking = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    for _ in range(5):
        await settled()
        assert not asking.done()
        skip(0.5)
        provider.add(b" ")
    await settled()
    skip(0.5)
    with pytest.raises(Unavailable):
        await asking


async def test_known_keys_go_on_while_the_provider_is_away(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    await provider.stop()
    for _ in range(5):
        skip(100_000)
        assert at_once(remote.find("a")) is not None
        await settled()
    skip(10)
    with pytest.raises(Unavailable):
        await remote.find("b")
    assert at_once(remote.find("a")) is not None
    # It is back, with other keys.
    provider.show(B)
    await provider.start()
    skip(10)
    assert await remote.find("b") is not None
    skip(1)
    assert await remote.find("a") is None


async def test_after_a_failure_there_is_no_fetch_for_longer_and_longer(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    provider.answer = response(b"", status="500 Oops")
    for pause, tries in zip([1, 2, 4, 5, 5, 5], range(1, 7), strict=True):
        with pytest.raises(Unavailable):
            await remote.find("a")
        assert provider.hits == tries
        with pytest.raises(Unavailable) as refusal:
            at_once(remote.find("b"))
        assert refusal.value.retry_after == pause
        skip(pause - 0.5)
        with pytest.raises(Unavailable):
            at_once(remote.find("a"))
        skip(0.5)
    # Once it has answered, the next failure is a first one.
    provider.show(A)
    assert await remote.find("a") is not None
    provider.answer = response(b"", status="500 Oops")
    skip(1)
    with pytest.raises(Unavailable):
        await remote.find("b")
    skip(1)
    provider.show(B)
    assert await remote.find("b") is not None


async def test_a_refresh_that_fails_is_not_tried_with_every_request(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    provider.answer = response(b"", status="500 Oops")
    skip(301)
    assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    for _ in range(10):
        await settled()
        assert at_once(remote.find("a")) is not None
    assert provider.hits == 2


async def test_keys_are_fresh_for_five_minutes(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    skip(295)
    assert at_once(remote.find("a")) is not None
    await settled()
    assert provider.hits == 1
    skip(6)
    for _ in range(10):
        assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    await settled()
    assert provider.hits == 2
    assert at_once(remote.find("a")) is not None
    await settled()
    assert provider.hits == 2


async def test_a_key_that_is_shown_no_more_is_gone_with_the_next_refresh(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A, B)
    provider.show(B, C)
    skip(301)
    assert at_once(remote.find("a")) is not None
    assert await remote.find("c") is not None
    assert provider.hits == 2
    assert at_once(remote.find("b")) is not None
    skip(1)
    assert await remote.find("a") is None


async def test_an_empty_set_takes_all_keys_away(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    provider.show()
    skip(1)
    assert await remote.find("b") is None
    skip(1)
    assert await remote.find("a") is None


async def test_a_slow_refresh_delays_nobody_whose_key_is_known(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    provider.gate.clear()
    skip(301)
    assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    assert at_once(remote.find("a")) is not None
    provider.gate.set()


async def test_a_slow_fetch_of_others_delays_nobody_whose_key_is_known(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    provider.gate.clear()
    skip(1)
    asking = asyncio.create_task(remote.find("b"))
    await until(lambda: provider.hits == 2)
    assert at_once(remote.find("a")) is not None
    provider.gate.set()
    assert await asking is None


async def test_who_asks_too_soon_after_a_fetch_waits_for_the_next(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    provider.show(A, B)
    skip(0.5)
    asking = [asyncio.create_task(remote.find(kid)) for kid in ("b", *map(str, range(50)))]
    await settled()
    assert provider.hits == 1
    assert not any(task.done() for task in asking)
    skip(0.5)
    found, *others = await asyncio.gather(*asking)
    assert found is not None
    assert set(others) == {None}
    assert provider.hits == 2


async def test_a_fetch_under_way_proves_no_absence(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    """Its answer may have been written before the key was made."""
    provider.show(A)
    provider.gate.clear()
    first = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits == 1)
    provider.show(A, B)
    second = asyncio.create_task(remote.find("b"))
    await settled()
    provider.gate.set()
    assert await first is not None
    await settled()
    assert not second.done()
    skip(1)
    assert await second is not None
    assert provider.hits == 2


async def test_who_waits_while_the_fetch_fails_is_told(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.answer = response(b"", status="500 Oops")
    provider.gate.clear()
    asking = [asyncio.create_task(remote.find("a"))]
    await until(lambda: provider.hits == 1)
    asking += [asyncio.create_task(remote.find(kid)) for kid in ("a", "b")]
    await settled()
    provider.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert provider.hits == 1


async def test_an_absent_key_is_refused_without_a_fetch_for_a_while(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    provider.show(A)
    assert await remote.find("b") is None
    skip(29)
    assert at_once(remote.find("b")) is None
    # Even while the provider is away.
    await provider.stop()
    with pytest.raises(Unavailable):
        await remote.find("c")
    assert at_once(remote.find("b")) is None
    assert provider.hits == 1
    await provider.start()
    skip(2)
    assert await remote.find("b") is None
    assert provider.hits == 2


async def test_an_absent_key_is_found_as_soon_as_any_fetch_brings_it(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    provider.show(A)
    assert await remote.find("b") is None
    provider.show(A, B)
    skip(1)
    assert await remote.find("c") is None
    assert at_once(remote.find("b")) is not None
    assert provider.hits == 2


async def test_few_absent_keys_are_remembered(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    assert await remote.find("first") is None
    skip(1)
    assert await remote.find("second") is None
    skip(1)
    await asyncio.gather(*(remote.find(str(n)) for n in range(1_023)))
    assert provider.hits == 3
    assert at_once(remote.find("second")) is None
    skip(1)
    assert await remote.find("first") is None
    assert provider.hits == 4


async def test_who_is_cancelled_does_not_take_the_fetch_along(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.show(A)
    provider.gate.clear()
    first, second = (asyncio.create_task(remote.find("a")) for _ in range(2))
    await until(lambda: provider.hits)
    first.cancel()
    await settled()
    assert first.cancelled()
    provider.gate.set()
    assert await second is not None
    assert provider.hits == 1


async def test_a_fetch_that_nobody_waits_for_any_more_is_of_use(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.show(A)
    provider.gate.clear()
    only = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    only.cancel()
    await settled()
    provider.gate.set()
    assert await remote.find("a") is not None
    assert provider.hits == 1


@pytest.fixture
async def hurried(provider: Provider) -> AsyncIterator[RemoteKeys]:
    remote = RemoteKeys(provider.url, max_age=0.01, min_interval=0.02)
    yield remote
    await remote.close()


async def test_rotation_while_somebody_guesses(provider: Provider, hurried: RemoteKeys) -> None:
    """Whoever has a token has a key that the provider has: never a wrong None."""
    loop = asyncio.get_running_loop()
    provider.show(A)
    started = loop.time()
    rotating = True

    async def guess(name: str) -> None:
        count = 0
        while rotating:
            count += 1
            assert await hurried.find(f"{name}{count}") is None

    async def use(kid: str) -> None:
        while rotating:
            assert await hurried.find(kid) is not None
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in ("x", "y", "z"):
            group.create_task(guess(name))
        signers = [A]
        for number in range(20):
            fresh = Signer(f"rotated-{number}")
            signers.append(fresh)
            provider.show(*signers)
            group.create_task(use(fresh.kid))
            found = await asyncio.gather(*(hurried.find(fresh.kid) for _ in range(5)))
            assert None not in found
            await asyncio.sleep(0.003 * (number % 4))
        rotating = False
    assert provider.hits <= 1 + (loop.time() - started) / hurried.min_interval


async def test_the_log_says_once_that_it_is_away_and_once_that_it_is_back(
    remote: RemoteKeys, provider: Provider, skip: Skip, logged: Logged
) -> None:
    await known(remote, provider, A)
    assert logged == []
    provider.answer = response(b"a secret", status="500 Oops")
    for _ in range(3):
        skip(5)
        with pytest.raises(Unavailable):
            await remote.find("a-guess")
    provider.show(A)
    for _ in range(3):
        skip(31)
        assert await remote.find("a-guess") is None
    assert logged == [
        {"event": "jwks_unavailable", "reason": "status 500", "log_level": "warning"},
        {"event": "jwks_fetched_again", "log_level": "info"},
    ]


async def test_who_waits_when_the_service_ends_is_told(
    remote: RemoteKeys, provider: Provider, skip: Skip, logged: Logged
) -> None:
    provider.gate.clear()
    asking = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    await remote.close()
    with pytest.raises(Unavailable):
        await asking
    assert logged == []
    skip(1)
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert provider.hits == 1


async def test_a_fetch_whose_turn_has_not_come_ends_with_the_service(
    remote: RemoteKeys, provider: Provider, skip: Skip
) -> None:
    await known(remote, provider, A)
    skip(0.5)
    asking = asyncio.create_task(remote.find("b"))
    await settled()
    await remote.close()
    with pytest.raises(Unavailable):
        await asking
