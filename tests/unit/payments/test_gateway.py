"""The adapter never guesses: what is not a clear answer is an unknown outcome."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.payments.domain.charge import Charge, ChargeStatus
from services.payments.gateways.sandbox import NotOurKey, SandboxProvider
from shared.effects import Call
from shared.money import Money

CHARGE = {
    "id": "ch_1", "key": "pay_1", "status": "authorised", "amount": 1299, "currency": "EUR", "amount_captured": 0, "fingerprint": "fpr_ok",
    "decline_code": None, "action_url": None, "action_expires_at": None, "expires_at": "2026-12-01T12:00:00Z", "renewable": True, "refunds": [],
    "something_new": {"that": "we do not know"},
}  # fmt: skip
AUTHORISE = Call(
    "cal_1", "provider.authorise", "ord_1",
    {"key": "pay_1", "amount": 1299, "currency": "EUR", "token": "tok_ok", "method": "card", "automatic": False, "reference": "ord_1"},
)  # fmt: skip
CAPTURE = Call("cal_1", "provider.capture", "ord_1", {"key": "cap_1", "charge_id": "ch_1", "amount": 1299})
VOID = Call("cal_1", "provider.void", "ord_1", {"key": "voi_1", "charge_id": "ch_1"})
REFUND = Call("cal_1", "provider.refund", "ord_1", {"key": "rfd_1", "charge_id": "ch_1", "amount": 500})
LOOK_UP = Call("cal_1", "provider.look_up", "ord_1", {"key": "pay_1"})
EVERY_CALL = [AUTHORISE, CAPTURE, VOID, REFUND, LOOK_UP]


async def answer_to(
    call: Call, answer: httpx.Response | Callable[[httpx.Request], httpx.Response]
) -> dict[str, Any] | None:
    handler = answer if callable(answer) else lambda _: answer
    async with httpx.AsyncClient(transport=httpx.MockTransport(handler), base_url="http://provider.test") as client:
        return await SandboxProvider(client).gateways()[call.kind](call)


def refused(status: int, code: str, charge: dict[str, Any] | None = None) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": ""}, "charge": charge})


async def test_a_charge_is_told_in_our_words() -> None:
    answer = await answer_to(AUTHORISE, httpx.Response(201, json=CHARGE))
    assert answer is not None
    charge = Charge.of(answer["charge"])
    assert (charge.status, charge.amount, charge.captured) == (
        ChargeStatus.AUTHORISED,
        Money(1299, "EUR"),
        Money(0, "EUR"),
    )


async def test_the_attempts_key_goes_out_as_the_idempotency_key() -> None:
    seen: list[httpx.Request] = []

    def listen(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json=CHARGE)

    await answer_to(AUTHORISE, listen)
    assert seen[0].headers["idempotency-key"] == "pay_1"


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_trouble_of_the_provider_is_an_unknown_outcome(call: Call, status: int) -> None:
    assert await answer_to(call, httpx.Response(status, json={})) is None


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize(
    "error", [httpx.ReadTimeout, httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteTimeout]
)
async def test_a_connection_that_is_lost_is_an_unknown_outcome(call: Call, error: type[httpx.TransportError]) -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise error("lost", request=request)

    assert await answer_to(call, lose) is None


@pytest.mark.parametrize("call", EVERY_CALL)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"data": 5}',
        b'{"data": [5]}',
        b'{"status": "authorised"}',
        b'{"data": [{"id": "ch_1", "status": "paid"}]}',
    ],
)
async def test_an_answer_that_is_not_the_providers_is_an_unknown_outcome(call: Call, body: bytes) -> None:
    assert await answer_to(call, httpx.Response(200, content=body)) is None


@pytest.mark.parametrize(
    "wrong", [{"amount": "1299"}, {"amount": 12.99}, {"amount": -1}, {"currency": "eur"}, {"status": "paid"}]
)
async def test_a_charge_with_a_wrong_field_is_an_unknown_outcome(wrong: dict[str, Any]) -> None:
    assert await answer_to(AUTHORISE, httpx.Response(201, json=CHARGE | wrong)) is None


async def test_a_provider_that_does_not_know_us_is_no_buyers_fault() -> None:
    with pytest.raises(NotOurKey):
        await answer_to(AUTHORISE, httpx.Response(401, json={}))


async def test_a_request_that_the_provider_does_not_accept_is_declined() -> None:
    assert await answer_to(AUTHORISE, refused(400, "invalid_token")) == {"declined": "invalid_token"}


async def test_a_key_that_was_used_for_another_charge_is_looked_up_and_never_taken_for_a_no() -> None:
    assert await answer_to(AUTHORISE, refused(422, "key_reused")) is None


@pytest.mark.parametrize("call", [CAPTURE, VOID])
async def test_a_refused_capture_or_void_tells_how_the_charge_stands(call: Call) -> None:
    answer = await answer_to(call, refused(409, "not_capturable", CHARGE | {"status": "expired"}))
    assert answer is not None
    assert answer["charge"]["status"] == "expired"


async def test_a_refused_refund_is_a_no_for_good() -> None:
    assert await answer_to(REFUND, refused(422, "exceeds_captured", CHARGE)) == {
        "refused": "exceeds_captured",
        "charge": None,
    }


async def test_a_key_that_nobody_knows_is_told_apart_from_silence() -> None:
    assert await answer_to(LOOK_UP, httpx.Response(200, json={"data": []})) == {"charge": None}
