"""One call to a channel ends in an answer or in one of three words, in bounded time, and follows nobody elsewhere."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from shared.channels.calls import MOST_BYTES, Caller, rest_s
from shared.channels.pace import Pace
from shared.channels.port import ChannelBusy, ChannelRefused, ChannelSilent

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


async def ask(answer: Callable[[httpx.Request], httpx.Response], within_s: float = 5.0) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        return await Caller(http, "http://there.test", {"authorization": "Bearer secret"}, within_s).ask("GET", "/x")


async def test_an_answer_is_handed_on() -> None:
    assert (await ask(lambda _: httpx.Response(200, json={"a": 1}))).json() == {"a": 1}


@pytest.mark.parametrize("status", [429, 503])
async def test_busy_says_for_how_long(status: int) -> None:
    with pytest.raises(ChannelBusy) as busy:
        await ask(lambda _: httpx.Response(status, headers={"retry-after": "7"}))
    assert busy.value.retry_after_s == 7


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_refusal_carries_the_channels_code(status: int) -> None:
    with pytest.raises(ChannelRefused, match=r"no\.such: words"):
        await ask(lambda _: httpx.Response(status, json={"code": "no.such", "detail": "words"}))


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b""])
async def test_a_refusal_without_words_is_known_by_its_status(body: bytes) -> None:
    with pytest.raises(ChannelRefused) as refused:
        await ask(lambda _: httpx.Response(403, content=body))
    assert refused.value.code == "403"


async def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def elsewhere(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(302, headers={"location": "http://elsewhere.test/"})

    with pytest.raises(ChannelRefused):
        await ask(elsewhere)
    assert asked == ["http://there.test/x"]


@pytest.mark.parametrize("status", [500, 502, 504, 408])
async def test_a_failure_over_there_is_an_unknown_outcome(status: int) -> None:
    with pytest.raises(ChannelSilent):
        await ask(lambda _: httpx.Response(status))


async def test_a_broken_connection_and_an_endless_answer_are_unknown_outcomes_without_the_key() -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("Bearer secret", request=request)

    with pytest.raises(ChannelSilent) as silent:
        await ask(broken)
    assert "secret" not in str(silent.value)
    with pytest.raises(ChannelSilent):
        await ask(lambda _: httpx.Response(200, content=b" " * (MOST_BYTES + 1)))


async def test_who_never_answers_is_left_in_time() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        return await asyncio.get_running_loop().create_future()

    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        with pytest.raises(ChannelSilent):
            await Caller(http, "http://there.test", {}, within_s=0.05).ask("GET", "/x")


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("2.5", 2.5),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0),
        ("-3", 0),
        ("", 1),
        ("soon", 1),
        ("nan", 1),
        ("inf", 1),
        ("999999", 3600),
    ],
)
def test_a_rest_is_read_from_seconds_and_dates_and_has_an_end(said: str, seconds: float) -> None:
    assert rest_s(said, NOON) == seconds


def test_a_pace_lets_a_seconds_worth_through_at_once_and_spreads_the_rest() -> None:
    pace = Pace(2.0, clock=lambda: 100.0)
    assert [pace.reserve() for _ in range(4)] == [0.0, 0.0, 0.5, 1.0]


def test_a_slow_pace_lets_one_call_through_and_then_waits() -> None:
    pace = Pace(0.5, clock=lambda: 0.0)
    assert [pace.reserve() for _ in range(3)] == [0.0, 2.0, 4.0]


def test_a_pace_fills_again_with_time_up_to_a_seconds_worth() -> None:
    now = [0.0]
    pace = Pace(2.0, clock=lambda: now[0])
    for _ in range(2):
        pace.reserve()
    now[0] = 60.0
    assert [pace.reserve() for _ in range(3)] == [0.0, 0.0, 0.5]


def test_a_channel_that_wants_rest_gets_it() -> None:
    pace = Pace(10.0, clock=lambda: 0.0)
    pace.rest(7.0)
    assert pace.reserve() == 7.0
