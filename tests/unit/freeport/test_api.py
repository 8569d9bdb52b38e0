"""The client of the platform's public interface."""

from collections.abc import Callable

import httpx
import pytest

from freeport.api import Api, Problem, until

URLS = {"orders": "http://orders.test"}


def api(handler: Callable[[httpx.Request], httpx.Response], patience: float = 5.0) -> Api:
    return Api(URLS, "sk_test_1", httpx.AsyncClient(transport=httpx.MockTransport(handler)), patience=patience)


async def test_a_write_is_repeated_with_the_same_key_while_the_service_is_away() -> None:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["idempotency-key"])
        if len(seen) == 1:
            raise httpx.ReadError("killed", request=request)
        if len(seen) == 2:
            return httpx.Response(503, headers={"retry-after": "0"})
        return httpx.Response(201, json={"id": "ord_1"}, headers={"idempotent-replayed": "true"})

    answer = await api(handler).post("orders", "/v1/orders", {}, key="k1")
    assert (answer.status, answer.body, answer.replayed) == (201, {"id": "ord_1"}, True)
    assert seen == ["k1", "k1", "k1"]


async def test_a_service_that_stays_away_is_told_by_name() -> None:
    with pytest.raises(TimeoutError, match="orders gave no answer to GET /v1/orders"):
        await api(lambda _: httpx.Response(503, headers={"retry-after": "0"}), patience=0.0).get("orders", "/v1/orders")


async def test_a_no_is_a_problem_with_its_code() -> None:
    def handler(_: httpx.Request) -> httpx.Response:
        body = {"code": "order.price_changed", "detail": "it is 12.99 now", "status": 409}
        return httpx.Response(409, json=body, headers={"content-type": "application/problem+json"})

    with pytest.raises(Problem) as raised:
        await api(handler).post("orders", "/v1/orders", {}, key="k")
    assert (raised.value.status, raised.value.code) == (409, "order.price_changed")


async def test_a_no_without_json_is_still_a_problem() -> None:
    with pytest.raises(Problem, match=r"500 http\.500: oops"):
        await api(lambda _: httpx.Response(500, text="oops")).get("orders", "/v1/orders")


async def test_a_list_is_read_page_after_page() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("after") == "c1":
            return httpx.Response(200, json={"data": [{"n": 3}], "has_more": False, "next": None})
        return httpx.Response(200, json={"data": [{"n": 1}, {"n": 2}], "has_more": True, "next": "c1"})

    assert [item["n"] async for item in api(handler).pages("orders", "/v1/orders", limit=2)] == [1, 2, 3]


async def test_another_store_calls_with_its_own_key() -> None:
    keys: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["authorization"])
        return httpx.Response(200, json={})

    mine = api(handler)
    await mine.get("orders", "/v1/orders")
    await mine.with_key("sk_test_2").get("orders", "/v1/orders")
    assert keys == ["Bearer sk_test_1", "Bearer sk_test_2"]


async def test_waiting_ends_with_the_fact() -> None:
    looks = iter([1, 2, 3])

    async def look() -> int:
        return next(looks)

    assert await until(look, lambda seen: seen == 3, "three") == 3


async def test_waiting_in_vain_tells_what_was_seen() -> None:
    async def look() -> str:
        return "placed"

    with pytest.raises(TimeoutError, match=r"confirmation: not within 0 s; last seen: placed"):
        await until(look, lambda seen: seen == "confirmed", "confirmation", within=0.0)
