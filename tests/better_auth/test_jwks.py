"""Keys fetched over HTTP: when they are fetched, cached, refreshed and dropped."""

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
from tests.conftest import LogEvents

A, B, C = signer("a"), signer("b"), signer("c")
AdvanceTime = Callable[[float], None]


pytestmark = pytest.mark.slow


def at_once(find: Coroutine[Any, Any, PublicKey | None]) -> PublicKey | None:
    """The result of a coroutine that must not wait for anything."""
    try:
        find.send(None)
    except StopIteration as done:
        key: PublicKey | None = done.value
        return key
    find.close()
    raise AssertionError("it waits")


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


async def settled() -> None:
    """Let all tasks run as far as they can without time passing."""
    for _ in range(200):
        await asyncio.sleep(0)


async def cached(remote: RemoteKeys, provider: Provider, *signers: Signer) -> None:
    """Publish keys, and let them be fetched."""
    provider.publish(*signers)
    for each in signers:
        assert await remote.find(each.kid) is not None
    assert provider.hits == 1


async def test_key_is_found(remote: RemoteKeys, provider: Provider) -> None:
    provider.publish(A, signer("e", "ES256"), signer("r", "RS256"))
    for kid, algorithm in {"a": "EdDSA", "e": "ES256", "r": "RS256"}.items():
        found = await remote.find(kid)
        assert found is not None
        assert found.algorithms == {algorithm}
    assert provider.hits == 1


async def test_concurrent_first_calls_cause_one_fetch(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.publish(A)
    found = await asyncio.gather(*(remote.find("a") for _ in range(20)))
    assert None not in found
    assert provider.hits == 1


async def test_uncompressed_response_is_requested(remote: RemoteKeys, provider: Provider) -> None:
    await cached(remote, provider, A)
    assert provider.requests[0].startswith("GET /api/auth/jwks HTTP/1.1\r\n")
    assert "accept-encoding: identity\r\n" in provider.requests[0].lower()


async def test_unusable_keys_are_skipped(remote: RemoteKeys, provider: Provider) -> None:
    unusable: list[object] = [
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
    provider.response = key_set([*unusable, A.jwk()])
    kids = ("a", "symmetric", "private", "use")
    found = await asyncio.gather(*(remote.find(kid) for kid in kids))
    assert [key is not None for key in found] == [True, False, False, False]


@pytest.mark.parametrize("size", [0, 65_536])
async def test_response_at_the_limits_is_accepted(
    remote: RemoteKeys, provider: Provider, size: int
) -> None:
    text = json.dumps({"keys": [A.jwk(kid=str(n)) for n in range(128)]}).encode()
    provider.response = response(text.ljust(size))
    assert await remote.find("31") is not None


def set_of(body: str) -> bytes:
    return response(body.encode())


GOOD = json.dumps({"keys": [A.jwk()]}).encode()
COMPRESSED, BOMB = gzip.compress(GOOD), gzip.compress(GOOD.ljust(10_000_000))
INVALID = {
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
    "keys null": (set_of('{"keys": null}'), "no key set"),
    "keys by name": (set_of('{"keys": {"a": {}}}'), "no key set"),
    "too many keys": (key_set([A.jwk(kid=str(n)) for n in range(129)]), "too many keys"),
    "too deep": (set_of('{"keys": ' + "[" * 30_000), "RecursionError"),
    "too long by one": (response(GOOD.ljust(65_537)), "too long"),
    "ten megabytes": (response(GOOD.ljust(10_000_000)), "too long"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\n" + GOOD.ljust(10_000_000), "too long"),
    "compressed": (response(COMPRESSED, Content_Encoding="gzip"), "UnicodeDecodeError"),
    "a compression bomb": (response(BOMB, Content_Encoding="gzip"), "UnicodeDecodeError"),
    "closed in the middle": (response(GOOD, length=9_999), "RemoteProtocolError"),
    "closed at once": (b"", "RemoteProtocolError"),
    "not HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n", "RemoteProtocolError"),
}


@pytest.mark.parametrize("invalid", INVALID)
async def test_invalid_response_is_rejected(
    remote: RemoteKeys,
    provider: Provider,
    advance_time: AdvanceTime,
    log_events: LogEvents,
    invalid: str,
) -> None:
    """The log does not quote it. Cached keys remain, and a later fetch may succeed."""
    provider.response, reason = INVALID[invalid]
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert provider.hits == 1
    assert log_events == [{"event": "jwks_unavailable", "reason": reason, "log_level": "warning"}]
    provider.publish(A)
    advance_time(1)
    assert await remote.find("a") is not None
    provider.response = INVALID[invalid][0]
    advance_time(1)
    with pytest.raises(Unavailable):
        await remote.find("b")
    assert at_once(remote.find("a")) is not None


async def test_redirect_is_not_followed(remote: RemoteKeys, provider: Provider) -> None:
    other = Provider()
    await other.start()
    other.publish(A)
    provider.response = response(b"", status="302 Found", Location=other.url)
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert other.hits == 0
    await other.stop()


async def test_proxy_of_the_environment_is_not_used(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Provider()
    await proxy.start()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    remote = RemoteKeys(provider.url)
    await cached(remote, provider, A)
    assert proxy.hits == 0
    await remote.close()
    await proxy.stop()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/keys", "http://", "http://[::1", "//x", "text"])
async def test_invalid_url_is_unavailable(url: str) -> None:
    remote = RemoteKeys(url)
    with pytest.raises(Unavailable):
        await remote.find("a")
    await remote.close()


async def test_fetch_without_a_response_times_out(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    provider.gate.clear()
    waiting = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    advance_time(2.5)
    await settled()
    assert not waiting.done()
    advance_time(0.5)
    with pytest.raises(Unavailable):
        await waiting


async def test_slow_response_times_out(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    provider.response = response(b"{", length=60_000)
    provider.may_close.clear()
    waiting = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    for _ in range(5):
        await settled()
        assert not waiting.done()
        advance_time(0.5)
        provider.send(b" ")
    await settled()
    advance_time(0.5)
    with pytest.raises(Unavailable):
        await waiting


async def test_cached_keys_remain_during_an_outage(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    await provider.stop()
    for _ in range(5):
        advance_time(700)
        assert at_once(remote.find("a")) is not None
        await settled()
    advance_time(10)
    with pytest.raises(Unavailable):
        await remote.find("b")
    assert at_once(remote.find("a")) is not None
    # The outage ends, and the keys are others.
    provider.publish(B)
    await provider.start()
    advance_time(10)
    assert await remote.find("b") is not None
    advance_time(1)
    assert await remote.find("a") is None


async def test_failed_fetches_back_off_exponentially(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    provider.response = response(b"", status="500 Oops")
    for pause, attempts in zip([1, 2, 4, 5, 5, 5], range(1, 7), strict=True):
        with pytest.raises(Unavailable):
            await remote.find("a")
        assert provider.hits == attempts
        with pytest.raises(Unavailable) as caught:
            at_once(remote.find("b"))
        assert caught.value.retry_after == pause
        advance_time(pause - 0.5)
        with pytest.raises(Unavailable):
            at_once(remote.find("a"))
        advance_time(0.5)
    # A success resets the backoff.
    provider.publish(A)
    assert await remote.find("a") is not None
    provider.response = response(b"", status="500 Oops")
    advance_time(1)
    with pytest.raises(Unavailable):
        await remote.find("b")
    advance_time(1)
    provider.publish(B)
    assert await remote.find("b") is not None


async def test_failed_refresh_is_not_repeated_by_each_call(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    provider.response = response(b"", status="500 Oops")
    advance_time(301)
    assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    for _ in range(10):
        await settled()
        assert at_once(remote.find("a")) is not None
    assert provider.hits == 2


async def test_keys_are_refreshed_after_five_minutes(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    advance_time(295)
    assert at_once(remote.find("a")) is not None
    await settled()
    assert provider.hits == 1
    advance_time(6)
    for _ in range(10):
        assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    await settled()
    assert provider.hits == 2
    assert at_once(remote.find("a")) is not None
    await settled()
    assert provider.hits == 2


async def test_withdrawn_key_is_dropped_by_the_next_refresh(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A, B)
    provider.publish(B, C)
    advance_time(301)
    assert at_once(remote.find("a")) is not None
    assert await remote.find("c") is not None
    assert provider.hits == 2
    assert at_once(remote.find("b")) is not None
    advance_time(1)
    assert await remote.find("a") is None


async def test_empty_key_set_drops_all_keys(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    provider.publish()
    advance_time(1)
    assert await remote.find("b") is None
    advance_time(1)
    assert await remote.find("a") is None


async def test_slow_refresh_does_not_delay_cached_keys(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    provider.gate.clear()
    advance_time(301)
    assert at_once(remote.find("a")) is not None
    await until(lambda: provider.hits == 2)
    assert at_once(remote.find("a")) is not None
    provider.gate.set()


async def test_slow_fetch_of_another_key_does_not_delay_cached_keys(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    provider.gate.clear()
    advance_time(1)
    waiting = asyncio.create_task(remote.find("b"))
    await until(lambda: provider.hits == 2)
    assert at_once(remote.find("a")) is not None
    provider.gate.set()
    assert await waiting is None


async def test_unknown_key_waits_for_the_next_allowed_fetch(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    provider.publish(A, B)
    advance_time(0.5)
    waiting = [asyncio.create_task(remote.find(kid)) for kid in ("b", *map(str, range(50)))]
    await settled()
    assert provider.hits == 1
    assert not any(task.done() for task in waiting)
    advance_time(0.5)
    found, *others = await asyncio.gather(*waiting)
    assert found is not None
    assert set(others) == {None}
    assert provider.hits == 2


async def test_running_fetch_does_not_prove_absence(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    """Its response may be older than the key."""
    provider.publish(A)
    provider.gate.clear()
    first = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits == 1)
    provider.publish(A, B)
    second = asyncio.create_task(remote.find("b"))
    await settled()
    provider.gate.set()
    assert await first is not None
    await settled()
    assert not second.done()
    advance_time(1)
    assert await second is not None
    assert provider.hits == 2


async def test_failed_fetch_rejects_all_waiting_callers(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.response = response(b"", status="500 Oops")
    provider.gate.clear()
    waiting = [asyncio.create_task(remote.find("a"))]
    await until(lambda: provider.hits == 1)
    waiting += [asyncio.create_task(remote.find(kid)) for kid in ("a", "b")]
    await settled()
    provider.gate.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Unavailable] * 3
    assert provider.hits == 1


async def test_absent_key_causes_no_fetch_for_a_while(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    provider.publish(A)
    assert await remote.find("b") is None
    advance_time(29)
    assert at_once(remote.find("b")) is None
    # Also during an outage.
    await provider.stop()
    with pytest.raises(Unavailable):
        await remote.find("c")
    assert at_once(remote.find("b")) is None
    assert provider.hits == 1
    await provider.start()
    advance_time(2)
    assert await remote.find("b") is None
    assert provider.hits == 2


async def test_absent_key_is_found_once_any_fetch_has_it(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    provider.publish(A)
    assert await remote.find("b") is None
    provider.publish(A, B)
    advance_time(1)
    assert await remote.find("c") is None
    assert at_once(remote.find("b")) is not None
    assert provider.hits == 2


async def test_number_of_remembered_absent_keys_is_bounded(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    assert await remote.find("first") is None
    advance_time(1)
    assert await remote.find("second") is None
    advance_time(1)
    await asyncio.gather(*(remote.find(str(n)) for n in range(1_023)))
    assert provider.hits == 3
    assert at_once(remote.find("second")) is None
    advance_time(1)
    assert await remote.find("first") is None
    assert provider.hits == 4


async def test_cancelled_caller_does_not_cancel_the_fetch(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.publish(A)
    provider.gate.clear()
    first, second = (asyncio.create_task(remote.find("a")) for _ in range(2))
    await until(lambda: provider.hits)
    first.cancel()
    await settled()
    assert first.cancelled()
    provider.gate.set()
    assert await second is not None
    assert provider.hits == 1


async def test_fetch_whose_only_caller_was_cancelled_is_used(
    remote: RemoteKeys, provider: Provider
) -> None:
    provider.publish(A)
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
    """The adapter with short intervals."""
    remote = RemoteKeys(provider.url, max_age=0.01, min_interval=0.02)
    yield remote
    await remote.close()


async def test_keys_are_rotated_while_others_are_guessed(
    provider: Provider, hurried: RemoteKeys
) -> None:
    """A published key is never reported as absent."""
    loop = asyncio.get_running_loop()
    provider.publish(A)
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
            provider.publish(*signers)
            group.create_task(use(fresh.kid))
            found = await asyncio.gather(*(hurried.find(fresh.kid) for _ in range(5)))
            assert None not in found
            await asyncio.sleep(0.003 * (number % 4))
        rotating = False
    assert provider.hits <= 1 + (loop.time() - started) / hurried.min_interval


async def test_outage_is_logged_once_at_its_begin_and_once_at_its_end(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime, log_events: LogEvents
) -> None:
    await cached(remote, provider, A)
    assert log_events == []
    provider.response = response(b"a secret", status="500 Oops")
    for _ in range(3):
        advance_time(5)
        with pytest.raises(Unavailable):
            await remote.find("a-guess")
    provider.publish(A)
    for _ in range(3):
        advance_time(31)
        assert await remote.find("a-guess") is None
    assert log_events == [
        {"event": "jwks_unavailable", "reason": "status 500", "log_level": "warning"},
        {"event": "jwks_fetched_again", "log_level": "info"},
    ]


async def test_close_rejects_waiting_callers(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime, log_events: LogEvents
) -> None:
    provider.gate.clear()
    waiting = asyncio.create_task(remote.find("a"))
    await until(lambda: provider.hits)
    await remote.close()
    with pytest.raises(Unavailable):
        await waiting
    assert log_events == []
    advance_time(1)
    with pytest.raises(Unavailable):
        await remote.find("a")
    assert provider.hits == 1


async def test_close_cancels_a_fetch_that_has_not_begun(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    await cached(remote, provider, A)
    advance_time(0.5)
    waiting = asyncio.create_task(remote.find("b"))
    await settled()
    await remote.close()
    with pytest.raises(Unavailable):
        await waiting


async def test_keys_are_not_believed_for_ever(
    remote: RemoteKeys, provider: Provider, advance_time: AdvanceTime
) -> None:
    """While they cannot be fetched: the server may have removed a key since."""
    await cached(remote, provider, A)
    provider.response = response(b"", status="500 Internal Server Error")
    advance_time(3_599)
    assert await remote.find("a") is not None
    advance_time(2)
    with pytest.raises(Unavailable):
        await remote.find("a")
    provider.publish(A)
    advance_time(60)
    assert await remote.find("a") is not None
