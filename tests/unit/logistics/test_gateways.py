"""What the gateways make of answers: a word about the matter, or unknown. No sockets: a transport in memory."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from services.logistics.domain import calls
from services.logistics.gateways.carrier import Carrier
from services.logistics.gateways.orders import Recipients
from shared.effects import Call
from tests.builders.logistics import ORDER, RECIPIENT, an_order_id

Handler = Callable[[httpx.Request], httpx.Response]


def a_client(handler: Handler) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(handler))


def a_carrier(handler: Handler) -> Carrier:
    nowhere: Any = None  # finding and voiding read nothing
    return Carrier(a_client(handler), nowhere, url="http://carrier.test/", key="k")


def answering(status: int, body: Any = None) -> Handler:
    return lambda _: httpx.Response(status, json=body)


def silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("no answer", request=request)


FIND = calls.call(calls.FIND_LABEL, ORDER, "pcl_1", parcel="pcl_1")
VOID = calls.call(calls.VOID_LABEL, ORDER, "pcl_1", parcel="pcl_1", tracking_number="LX000000015CN")


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (
            answering(200, {"tracking_number": "LX000000015CN", "status": "label_created"}),
            {"tracking_number": "LX000000015CN"},
        ),
        (answering(404, {}), {"absent": True}),
        (answering(503), None),
        (answering(401), None),
        (silent, None),
    ],
)
async def test_a_look_up_finds_finds_nothing_or_does_not_know(handler: Handler, answer: Any) -> None:
    assert await a_carrier(handler).find(FIND) == answer


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (answering(200, {}), {"voided": True}),
        (answering(409, {}), {"handed_over": True}),
        (answering(500), None),
        (silent, None),
    ],
)
async def test_a_label_is_void_handed_over_or_unknown(handler: Handler, answer: Any) -> None:
    assert await a_carrier(handler).void(VOID) == answer


def recipients(handler: Handler) -> Recipients:
    return Recipients(a_client(handler), url="http://orders.test", key="internal")


def asking(order_id: str = ORDER) -> Call:
    return calls.call(calls.RECIPIENT, order_id, order_id)


async def test_questions_that_come_together_are_one_request() -> None:
    asked: list[list[str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        orders = json.loads(request.content)["order_ids"]
        asked.append(orders)
        return httpx.Response(200, json={"data": [RECIPIENT | {"order_id": each} for each in orders], "missing": []})

    gateway = recipients(answer)
    orders = [an_order_id(str(number)) for number in range(120)]
    answers = await asyncio.gather(*(gateway.fetch(asking(order_id)) for order_id in orders))
    assert [len(each) for each in asked] == [100, 20]
    assert all(answer is not None and answer["recipient"]["name"] == "Jürgen Groß" for answer in answers)


@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        (answering(200, {"data": [], "missing": [ORDER]}), {"missing": True}),
        (answering(200, {"data": [], "missing": []}), None),
        (answering(200, {"data": [{"order_id": ORDER, "name": "x"}]}), None),
        (answering(200, "nonsense"), None),
        (answering(503), None),
        (answering(401), None),
        (silent, None),
    ],
)
async def test_an_answer_that_is_none_is_asked_for_again(handler: Handler, answer: Any) -> None:
    assert await recipients(handler).fetch(asking()) == answer


async def test_a_question_after_a_failure_is_asked_anew() -> None:
    answers = [httpx.Response(503), httpx.Response(200, json={"data": [], "missing": [ORDER]})]
    gateway = recipients(lambda _: answers.pop(0))
    assert await gateway.fetch(asking()) is None
    assert await gateway.fetch(asking()) == {"missing": True}
