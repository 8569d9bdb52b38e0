"""The examples of docs/api.md are sent as they are printed, and answered as they promise."""

import json
import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.catalog.main import SERVICE
from tests.fixtures.bench import BenchFactory

pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")


def curls(text: str) -> list[list[str]]:
    """The arguments of every curl in the guide."""
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    words = [shlex.split(block.replace("$CATALOG", "").replace("$KEY", "KEY")) for block in blocks]
    return [call for block in words for call in split_at(block, "curl")]


def split_at(words: list[str], name: str) -> list[list[str]]:
    starts = [place for place, word in enumerate(words) if word == name]
    return [words[start + 1 : end] for start, end in pairwise([*starts, len(words)])]


async def send(client: httpx.AsyncClient, call: list[str]) -> httpx.Response:
    url = next(word for word in call if word.startswith("/v1/"))
    headers = dict(call[place + 1].split(": ", 1) for place, word in enumerate(call) if word == "-H")
    headers.pop("Authorization")
    if "-d" in call:
        return await client.post(url, headers=headers, content=call[call.index("-d") + 1])
    return await client.get(url, headers=headers)


async def test_the_guide_is_true(service_bench: BenchFactory) -> None:
    bench = await service_bench(SERVICE)
    put, not_sold, german, first, rest = [await send(bench.client, call) for call in curls(GUIDE)]
    printed: list[dict[str, Any]] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)]
    assert put.json() == printed[0]
    assert not_sold.json() | {"request_id": ""} == printed[1] | {"request_id": ""}
    assert not_sold.status_code == 404
    assert german.json() | printed[2] == german.json()
    assert german.headers["content-language"] == "de"
    assert [item["sku"] for item in first.json()["data"]] == ["MUG-01"]
    assert rest.json() == {"data": [], "has_more": False, "next": None}
