"""`freeport channels` as a person at the command line sees it, over an inventory that answers from a script."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from freeport import channels, cli
from freeport.api import Api
from freeport.layout import Home
from freeport.platform import Platform

KEY = "sk_test_store"


def long_ago() -> str:
    """Two hours and five minutes before it is asked for."""
    return (datetime.now(UTC) - timedelta(hours=2, minutes=5)).isoformat()


def feed(channel: str, **changes: Any) -> dict[str, Any]:
    return {
        "channel": channel,
        "connected": True,
        "state": "open",
        "since": long_ago(),
        "delay_s": 0.0,
        "lag_s": 5.0,
        "error": "",
        "offers": 12,
        "pending": 0,
        "refused": 0,
    } | changes


def offer(sku: str, **changes: Any) -> dict[str, Any]:
    return {
        "sku": sku,
        "wanted": 4,
        "quantity": 4,
        "acknowledged_quantity": 3,
        "pending_since": long_ago(),
        "refused_code": "",
        "refused_detail": "",
    } | changes


def comparison(**changes: Any) -> dict[str, Any]:
    return {
        "channel": "bazaar",
        "dry_run": False,
        "state": "finished",
        "request": 1,
        "pages": 4,
        "differences": 2,
        "first": [{"sku": "CUP", "theirs": None, "ours": 3}, {"sku": "MUG", "theirs": 9, "ours": 4}],
        "still_different": 0,
        "refused": 0,
        "equal": True,
        "error": "",
    } | changes


class Inventory:
    """Answers as it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.feeds = [feed("bazaar")]
        self.offers = [offer("MUG")]
        self.has_more = False
        self.comparisons = [comparison()]
        """What each look sees; the last one for ever."""
        self.refusal: tuple[int, str] | None = None
        self.down = False
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.key = KEY

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {self.key}"
        if self.down:
            raise httpx.ConnectError("refused")
        path = request.url.path
        body = json.loads(request.content) if request.content else dict(request.url.params)
        self.asked.append((request.method, path, body))
        if self.refusal:
            status, code = self.refusal
            return httpx.Response(status, json={"code": code, "detail": "no", "status": status})
        if path == "/v1/channel-feeds":
            return httpx.Response(200, json={"data": self.feeds, "has_more": False, "next": None})
        if path == "/v1/channels/bazaar/offers":
            return httpx.Response(200, json={"data": self.offers, "has_more": self.has_more, "next": None})
        assert path == "/v1/channels/bazaar/resync"
        seen = self.comparisons.pop(0) if len(self.comparisons) > 1 else self.comparisons[0]
        return httpx.Response(202 if request.method == "POST" else 200, json=seen)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def inventory(monkeypatch: pytest.MonkeyPatch) -> Inventory:
    scripted = Inventory()
    running = SimpleNamespace(
        addresses=lambda: {"services": {"inventory": "http://inventory"}}, test_key=KEY, home=Home(Path("/nowhere"))
    )

    @asynccontextmanager
    async def opened(urls: dict[str, str], key: str, *, patience: float) -> AsyncGenerator[Api]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(scripted)) as client:
            yield Api(urls, key, client, patience=0.05)

    monkeypatch.setattr(Platform, "load", lambda _: running)
    monkeypatch.setattr(channels.Api, "opened", opened)
    monkeypatch.setattr(channels, "_LOOK_EVERY_S", 0.0)
    return scripted


@pytest.fixture
def run(inventory: Inventory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Exit code, standard output, standard error of `freeport channels …`."""

    def go(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["channels", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    # rich keeps the streams that it found at its birth.
    for module, name, stderr in ((channels, "out", False), (cli, "out", False), (cli, "err", True)):
        monkeypatch.setattr(module, name, type(module.out)(stderr=stderr, width=120))
    monkeypatch.setattr(channels, "_console", lambda: channels.out)
    return go


def test_status_tells_state_lag_and_what_is_pending(run: Run, inventory: Inventory) -> None:
    code, told, _ = run("status")
    header, row = told.splitlines()
    assert code == 0
    assert header.split("  ")[0] == "channel"
    assert row.split() == ["bazaar", "open", "2", "h", "5", "m", "-", "5", "s", "12", "0", "0"]


def test_a_fenced_channel_is_told_with_its_delay_and_ends_in_exit_code_1(run: Run, inventory: Inventory) -> None:
    inventory.feeds.append(feed("fair", state="fenced", delay_s=41.2, lag_s=80.0, pending=7, error="ChannelSilent()"))
    code, told, _ = run("status")
    assert code == 1
    assert " ".join(told.splitlines()[2].split()) == "fair fenced 2 h 5 m 41 s 80 s 12 7 0 ChannelSilent()"
    assert [one["channel"] for one in json.loads(run("status", "--json")[1])["channels"]] == ["bazaar", "fair"]


def test_a_channel_that_is_not_connected_any_more_alarms_nobody(run: Run, inventory: Inventory) -> None:
    inventory.feeds = [feed("bazaar", connected=False, state="fenced")]
    code, told, _ = run("status")
    assert (code, "not connected" in told) == (0, True)


def test_that_no_channel_is_connected_is_said(run: Run, inventory: Inventory) -> None:
    inventory.feeds = []
    assert run("status")[:2] == (0, "No channel is connected: FREEPORT_CHANNELS_FILE names them.\n")


def test_a_resync_waits_for_the_end_and_tells_what_was_found(run: Run, inventory: Inventory) -> None:
    inventory.comparisons = [
        comparison(state="waiting", equal=None),
        comparison(state="running", equal=None),
        comparison(),
    ]
    code, told, _ = run("resync", "bazaar")
    assert code == 0
    assert told.splitlines() == [
        "  CUP: theirs not there, ours 3",
        "  MUG: theirs 9, ours 4",
        "✓ bazaar: both sides are equal, 4 pages read, 2 differences found",
    ]
    assert inventory.asked[0] == ("POST", "/v1/channels/bazaar/resync", {"dry_run": False})
    assert inventory.asked[1:] == [("GET", "/v1/channels/bazaar/resync", {"dry_run": "false"})] * 2


def test_a_dry_run_that_finds_a_difference_ends_in_exit_code_1(run: Run, inventory: Inventory) -> None:
    inventory.comparisons = [comparison(dry_run=True, equal=False, still_different=2, refused=1)]
    code, told, _ = run("resync", "bazaar", "--dry-run")
    assert code == 1
    assert told.splitlines()[-1] == "✗ bazaar: 2 SKUs differ, 1 that it refuses, 4 pages read, 2 differences found"
    assert inventory.asked[0][2] == {"dry_run": True}


def test_a_resync_that_is_not_finished_in_time_goes_on_and_says_so(run: Run, inventory: Inventory) -> None:
    inventory.comparisons = [comparison(state="running", equal=None, error="ChannelSilent()", first=[], differences=0)]
    code, told, _ = run("resync", "bazaar", "--wait", "0")
    assert code == 1
    assert " ".join(told.split()) == (
        "… bazaar: the resync is running, 4 pages read, 0 differences found (ChannelSilent()); it goes on by itself"
    )
    assert json.loads(run("resync", "bazaar", "--wait", "0", "--json")[1])["state"] == "running"


def test_of_many_differences_the_first_are_shown_and_the_rest_counted(run: Run, inventory: Inventory) -> None:
    first = [{"sku": f"SKU{n:03}", "theirs": 0, "ours": 1} for n in range(100)]
    inventory.comparisons = [comparison(first=first, differences=3000)]
    lines = run("resync", "bazaar")[1].splitlines()
    assert len(lines) == 12
    assert lines[10] == "  and 2990 more"


def test_the_offers_tell_what_is_pending_and_why_one_is_refused(run: Run, inventory: Inventory) -> None:
    inventory.offers.append(offer("BAD", refused_code="no_listing", refused_detail="none", acknowledged_quantity=None))
    inventory.offers.append(offer("HID", quantity=0))
    inventory.has_more = True
    code, told, _ = run("offers", "bazaar")
    rows = [" ".join(line.split()) for line in told.splitlines()]
    assert code == 0
    assert rows[1:] == [
        "MUG 4 3 2 h 5 m",
        "BAD 4 - 2 h 5 m no_listing: none",
        "HID 0 (fenced, 4 without) 3 2 h 5 m",
        "There are more than 50: --limit, or --json.",
    ]
    assert inventory.asked[0][2] == {"state": "pending", "limit": "50"}
    assert json.loads(run("offers", "bazaar", "--json")[1])["more"] is True


def test_that_nothing_is_pending_is_said(run: Run, inventory: Inventory) -> None:
    inventory.offers = []
    assert run("offers", "bazaar")[1] == "No offer of bazaar is pending.\n"
    assert run("offers", "bazaar", "--state", "all")[1] == "bazaar is offered nothing.\n"


@pytest.mark.parametrize(
    ("status", "code", "fix"),
    [
        (404, "channel.not_found", "freeport channels status"),
        (409, "channel.not_connected", "FREEPORT_CHANNELS_FILE"),
        (401, "auth.unknown_key", "--key"),
    ],
)
def test_what_inventory_refuses_is_said_with_how_to_fix_it(
    run: Run, inventory: Inventory, status: int, code: str, fix: str
) -> None:
    inventory.refusal = status, code
    exit_code, told, complained = run("resync", "bazaar")
    assert (exit_code, told) == (1, "")
    assert code in complained
    assert fix in complained


def test_an_inventory_that_is_down_is_said_so(run: Run, inventory: Inventory) -> None:
    inventory.down = True
    code, _, complained = run("status")
    assert (code, "Inventory gives no answer" in complained) == (1, True)


def test_another_stores_key_may_be_given(run: Run, inventory: Inventory) -> None:
    inventory.key = "sk_other"
    assert run("status", "--key", "sk_other")[0] == 0
