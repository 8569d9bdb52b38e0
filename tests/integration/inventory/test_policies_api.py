"""Policies over the API: what they are set to, what follows for the stock of each channel, and that they are the store's own."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from shared.contracts.inventory import StockChanged
from tests.fixtures.bench import OTHER_STORE, Bench

pytestmark = pytest.mark.integration

Adjust = Callable[..., Awaitable[dict[str, Any]]]


async def put(bench: Bench, path: str, body: dict[str, Any]) -> tuple[int, Any]:
    response = await bench.client.put(f"/v1/channels/{path}", json=body)
    return response.status_code, response.json()


async def offers(bench: Bench, sku: str) -> dict[str, tuple[int, int]]:
    """(available, buffer) by channel."""
    shown = (await bench.client.get(f"/v1/stock/{sku}")).json()["channels"]
    return {share["channel"]: (share["available"], share["buffer"]) for share in shown}


async def told(bench: Bench) -> dict[str, dict[str, int]]:
    """What was published last of each SKU, by channel."""
    states = await bench.published(StockChanged)
    return {state.sku: {share.channel: share.available for share in state.channels} for state in states}


async def test_policies_of_skus_are_kept_shown_and_told_at_once(bench: Bench, adjust: Adjust) -> None:
    await put(bench, "bazaar", {"buffer": 1, "cap": 8})
    await adjust("receipt", CAP=20, MUG=20, OLD=20, PEN=20)
    lines = [
        {"sku": "MUG", "buffer": 2, "allotment": 5, "cap": 9},
        {"sku": "OLD", "buffer": 0, "closed": True},
        {"sku": "NEW", "buffer": 0, "cap": 1},
    ]
    assert await put(bench, "bazaar/policies", {"policies": lines, "remove": ["CAP"]}) == (
        200,
        {"channel": "bazaar", "put": 3, "removed": 1},
    )
    expected = {
        "CAP": {"bazaar": 8, "storefront": 20},
        "MUG": {"bazaar": 9, "storefront": 15},
        "OLD": {"bazaar": 0, "storefront": 20},
    }
    assert {sku: shares for sku, shares in (await told(bench)).items() if sku in expected} == expected
    for sku, shares in expected.items():
        assert {name: available for name, (available, _) in (await offers(bench, sku)).items()} == shares
    await adjust("receipt", NEW=5)  # its policy was there before it was
    assert (await told(bench))["NEW"] == {"bazaar": 1, "storefront": 5}

    kept: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        query = {"limit": 2, **({"after": after} if after else {})}
        body = (await bench.client.get("/v1/channels/bazaar/policies", params=query)).json()
        kept += body["data"]
        after = body["next"]
        if not body["has_more"]:
            break
    whole = {"buffer": 0, "cap": None, "allotment": 0, "closed": False}
    assert kept == [
        {"sku": "MUG", "buffer": 2, "cap": 9, "allotment": 5, "closed": False},
        {**whole, "sku": "NEW", "cap": 1},
        {**whole, "sku": "OLD", "closed": True},
    ]
    assert (await bench.client_of(OTHER_STORE).get("/v1/channels/bazaar/policies")).json()["data"] == []


async def test_a_channels_policy_changes_without_its_skus_or_with_all_of_them(bench: Bench, adjust: Adjust) -> None:
    await adjust("receipt", CAP=20, MUG=20)
    await put(bench, "bazaar", {"buffer": 1, "skus": {"MUG": 3}})
    await put(bench, "bazaar/policies", {"policies": [{"sku": "MUG", "buffer": None}]})
    status, problem = await put(bench, "bazaar", {"buffer": None})
    assert (status, problem["code"]) == (422, "channel.speed_unknown")
    status, body = await put(bench, "bazaar", {"buffer": 2, "allotment": 7, "country": "DE", "units_per_s": 0.5})
    assert (status, body) == (
        200,
        {
            "name": "bazaar",
            "buffer": 2,
            "country": "DE",
            "skus": None,
            "cap": None,
            "allotment": 7,
            "closed": False,
            "units_per_s": 0.5,
        },
    )
    assert (await bench.client.get("/v1/channels")).json()["data"][0]["skus"] == {"MUG": 3}
    while await bench.due("stock.announce"):
        pass
    assert await told(bench) == {"CAP": {"bazaar": 18, "storefront": 13}, "MUG": {"bazaar": 17, "storefront": 20}}
    await put(bench, "bazaar", {"buffer": 2, "skus": {}})
    assert (await bench.client.get("/v1/channels/bazaar/policies")).json()["data"] == []
    assert await offers(bench, "MUG") == {"bazaar": (18, 2), "storefront": (20, 0)}


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("bazaar/policies", {"policies": [{"sku": "MUG", "buffer": 0}]}, (404, "channel.not_found")),
        ("storefront/policies", {"policies": [{"sku": "MUG", "buffer": None}]}, (422, "channel.speed_unknown")),
    ],
)
async def test_what_is_refused(bench: Bench, path: str, body: dict[str, Any], expected: tuple[int, str]) -> None:
    status, problem = await put(bench, path, body)
    assert (status, problem["code"]) == expected


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"policies": [{"sku": "MUG"}]},
        {"policies": [{"sku": "MUG", "buffer": -1}]},
        {"policies": [{"sku": "MUG", "buffer": 0}], "remove": ["MUG"]},
        {"remove": [f"SKU-{number}" for number in range(501)]},
    ],
)
async def test_what_makes_no_sense_is_not_taken(bench: Bench, body: dict[str, Any]) -> None:
    assert (await put(bench, "storefront/policies", body))[0] in (400, 422)
