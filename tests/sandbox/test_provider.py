"""The sandbox provider behaves as its list of tokens says, and its book tells the truth."""

import asyncio
import sqlite3
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from freeport.processes import LOOPBACK, Program, base_environment, free_port, kill_group, launch
from freeport.sandbox.book import Book
from freeport.sandbox.provider import tokens
from tests.fixtures.provider import KEY, WEBHOOK_SECRET, Ear, RunningProvider, running_provider, until

QUICK = {
    "provider_slow_seconds": 0.2,
    "provider_hang_seconds": 5.0,
    "provider_expiring_seconds": 0.3,
    "provider_refund_seconds": 0.1,
}


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
async def provider(tmp_path: Path, ear: Ear) -> AsyncGenerator[RunningProvider]:
    async with running_provider(tmp_path, ear.transport(), **QUICK) as running:
        yield running


async def test_an_authorisation_is_a_promise_that_is_captured_later(provider: RunningProvider) -> None:
    made = (await provider.charge("k1")).json()
    assert (made["status"], made["amount_captured"], made["fingerprint"]) == ("authorised", 0, "fpr_ok")
    captured = await provider.client.post(
        f"/charges/{made['id']}/capture", json={}, headers={"Idempotency-Key": "k1-cap"}
    )
    assert (captured.json()["status"], captured.json()["amount_captured"]) == ("captured", 1299)


async def test_an_automatic_capture_takes_the_money_at_once(provider: RunningProvider) -> None:
    made = (await provider.charge("k1", method="wallet", capture="automatic")).json()
    assert (made["status"], [c["amount"] for c in made["captures"]]) == ("captured", [1299])


async def test_the_same_key_twice_is_one_charge(provider: RunningProvider) -> None:
    answers = await asyncio.gather(*(provider.charge("k1") for _ in range(10)))
    assert {answer.json()["id"] for answer in answers} == {(await provider.book())[0]["id"]}
    assert len(await provider.book()) == 1


async def test_the_same_key_for_another_request_is_refused(provider: RunningProvider) -> None:
    await provider.charge("k1")
    answer = await provider.charge("k1", amount=1300)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "key_reused")


@pytest.mark.parametrize(
    ("token", "code"), [("tok_declined", "card_declined"), ("tok_insufficient_funds", "insufficient_funds")]
)
async def test_a_declined_card_is_charged_nothing(provider: RunningProvider, token: str, code: str) -> None:
    made = (await provider.charge("k1", token)).json()
    assert (made["status"], made["decline_code"], made["amount_captured"]) == ("declined", code, 0)


@pytest.mark.parametrize(
    ("token", "fingerprint"),
    [
        ("tok_ok", "fpr_ok"),
        ("tok_ok_xyz", "fpr_xyz"),
        ("tok_other_card_xyz", "fpr_swapped_xyz"),
        ("tok_webhook_twice_a_b", "fpr_a_b"),
    ],
)
def test_a_suffix_makes_many_cards(token: str, fingerprint: str) -> None:
    card = tokens.card_of(token)
    assert card is not None
    assert card.fingerprint == fingerprint


async def test_a_token_that_was_never_given_out_is_refused(provider: RunningProvider) -> None:
    answer = await provider.charge("k1", "tok_nonsense")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_token")


async def test_it_charges_and_does_not_answer_in_time(provider: RunningProvider) -> None:
    with pytest.raises(httpx.ReadTimeout):
        await provider.client.post(
            "/charges",
            json={"amount": 1299, "currency": "EUR", "token": "tok_timeout_after_charge", "reference": "ord_1"},
            headers={"Idempotency-Key": "k1"},
            timeout=0.3,
        )
    found = (await provider.client.get("/charges", params={"key": "k1"})).json()["data"]
    assert [charge["status"] for charge in found] == ["authorised"]


async def test_a_slow_answer_is_still_an_answer(provider: RunningProvider) -> None:
    assert (await provider.charge("k1", "tok_slow")).json()["status"] == "authorised"


async def test_a_key_it_never_saw_is_nobodys_charge(provider: RunningProvider) -> None:
    assert (await provider.client.get("/charges", params={"key": "k0"})).json() == {"data": []}


async def test_a_flaky_provider_fails_once_without_charging(provider: RunningProvider) -> None:
    assert (await provider.charge("k1", "tok_flaky")).status_code == 500
    assert await provider.book() == []
    assert (await provider.charge("k1", "tok_flaky")).json()["status"] == "authorised"


@pytest.mark.parametrize(
    ("result", "status", "kind"),
    [("complete", "authorised", "charge.authorised"), ("fail", "declined", "charge.declined")],
)
async def test_the_buyer_acts_and_a_webhook_tells(
    provider: RunningProvider, ear: Ear, result: str, status: str, kind: str
) -> None:
    made = (await provider.charge("k1", "tok_3ds")).json()
    assert made["status"] == "requires_action"
    async with httpx.AsyncClient(trust_env=False) as buyer:  # who has no key
        assert "Confirm" in (await buyer.get(made["action_url"])).text
        acted = await buyer.post(made["action_url"], params={"result": result})
    assert acted.json()["status"] == status
    await until(lambda: ear.kinds() == [kind])


async def test_a_browser_is_led_back_to_the_shop(provider: RunningProvider) -> None:
    made = (await provider.charge("k1", "tok_3ds", return_url="http://shop.test/back?a=1")).json()
    answer = await provider.client.post(made["action_url"], headers={"accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "http://shop.test/back?a=1&status=authorised")


async def test_acting_twice_changes_nothing(provider: RunningProvider) -> None:
    made = (await provider.charge("k1", "tok_3ds")).json()
    await provider.client.post(made["action_url"], params={"result": "fail"})
    assert (await provider.client.post(made["action_url"], params={"result": "complete"})).json()[
        "status"
    ] == "declined"


async def test_an_action_that_is_not_taken_is_declined(tmp_path: Path, ear: Ear) -> None:
    async with running_provider(tmp_path, ear.transport(), provider_action_seconds=0.1) as provider:
        made = (await provider.charge("k1", "tok_3ds")).json()
        await until(lambda: ear.kinds() == ["charge.declined"])
        assert (await provider.look_up(made["id"]))["decline_code"] == "authentication_expired"


async def test_an_authorisation_that_ran_out_cannot_be_captured(provider: RunningProvider, ear: Ear) -> None:
    made = (await provider.charge("k1", "tok_expiring")).json()
    await until(lambda: ear.kinds() == ["charge.expired"])
    answer = await provider.client.post(f"/charges/{made['id']}/capture", json={}, headers={"Idempotency-Key": "c"})
    assert (answer.status_code, answer.json()["charge"]["status"]) == (409, "expired")


async def test_a_webhook_is_heard_twice_under_one_id(provider: RunningProvider, ear: Ear) -> None:
    await provider.charge("k1", "tok_webhook_twice")
    await until(lambda: len(ear.heard) == 2)
    assert len({webhook_id for webhook_id, _ in ear.heard}) == 1


async def test_a_webhook_overtakes_the_answer(provider: RunningProvider, ear: Ear) -> None:
    await provider.charge("k1", "tok_webhook_first")
    assert ear.kinds("ord_k1") == ["charge.authorised"]


async def test_a_webhook_that_was_not_heard_comes_again(provider: RunningProvider, ear: Ear) -> None:
    ear.answers = [503]
    await provider.charge("k1", "tok_webhook_first")
    await until(lambda: len(ear.heard) == 2)
    assert ear.heard[0][0] == ear.heard[1][0]


async def test_by_default_no_webhook_repeats_what_the_answer_told(provider: RunningProvider, ear: Ear) -> None:
    await provider.charge("k1")
    await provider.charge("k2", "tok_webhook_first")
    assert (ear.kinds("ord_k1"), ear.kinds("ord_k2")) == ([], ["charge.authorised"])


async def _captured(provider: RunningProvider, token: str = "tok_ok") -> str:
    made = (await provider.charge("k1", token, capture="automatic", method="wallet")).json()
    return str(made["id"])


async def _refund(provider: RunningProvider, charge_id: str, key: str, amount: int) -> httpx.Response:
    return await provider.client.post(
        f"/charges/{charge_id}/refunds", json={"amount": amount}, headers={"Idempotency-Key": key}
    )


async def test_refunds_never_exceed_what_was_captured(provider: RunningProvider) -> None:
    charge_id = await _captured(provider)
    answers = await asyncio.gather(*(_refund(provider, charge_id, f"r{n}", 500) for n in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 422, 422, 422]
    assert (await provider.look_up(charge_id))["amount_refunded"] == 1000


async def test_the_same_refund_key_refunds_once(provider: RunningProvider) -> None:
    charge_id = await _captured(provider)
    for _ in range(2):
        await _refund(provider, charge_id, "r1", 500)
    assert (await provider.look_up(charge_id))["amount_refunded"] == 500
    assert (await _refund(provider, charge_id, "r1", 501)).json()["error"]["code"] == "key_reused"


async def test_what_was_not_captured_is_not_refunded(provider: RunningProvider) -> None:
    made = (await provider.charge("k1")).json()
    assert (await _refund(provider, made["id"], "r1", 1)).status_code == 409


@pytest.mark.parametrize(
    ("token", "first", "last", "left"),
    [
        ("tok_refund_fails", "pending", "failed", 0),
        ("tok_refund_pending", "pending", "succeeded", 500),
        ("tok_refund_bounces", "succeeded", "failed", 0),
    ],
)
async def test_a_refund_may_end_later(
    provider: RunningProvider, ear: Ear, token: str, first: str, last: str, left: int
) -> None:
    charge_id = await _captured(provider, token)
    assert (await _refund(provider, charge_id, "r1", 500)).json()["refunds"][0]["status"] == first
    await until(lambda: ear.kinds() == [f"refund.{last}"])
    charge = await provider.look_up(charge_id)
    assert (charge["refunds"][0]["status"], charge["amount_refunded"]) == (last, left)


async def test_a_voided_charge_stays_voided(provider: RunningProvider) -> None:
    made = (await provider.charge("k1")).json()
    voided = await provider.client.post(f"/charges/{made['id']}/void", headers={"Idempotency-Key": "v"})
    assert voided.json()["status"] == "voided"
    again = await provider.client.post(f"/charges/{made['id']}/capture", json={}, headers={"Idempotency-Key": "c"})
    assert (again.status_code, again.json()["charge"]["status"]) == (409, "voided")


async def test_without_its_key_nobody_charges(provider: RunningProvider) -> None:
    async with httpx.AsyncClient(base_url=provider.url, trust_env=False) as stranger:
        assert (await stranger.get("/book")).status_code == 401
        wrong = await stranger.post("/charges", json={}, headers={"Authorization": "Bearer x", "Idempotency-Key": "k"})
    assert wrong.status_code in (401, 422)


async def test_the_list_of_tokens_is_the_one_in_the_docstring(provider: RunningProvider) -> None:
    listed = (await provider.client.get("/tokens")).json()
    from freeport.sandbox import provider as package

    documented = {line.split()[0] for line in (package.__doc__ or "").splitlines() if line.startswith("    tok_")}
    assert documented == set(listed)


async def test_a_charge_and_its_webhook_survive_kill_9(tmp_path: Path) -> None:
    ear = Ear()
    port = free_port()
    environment = {
        **base_environment(), "FREEPORT_PORT": str(port), "FREEPORT_STATE_DIR": str(tmp_path), "FREEPORT_PROVIDER_KEY": KEY,
        "FREEPORT_PROVIDER_WEBHOOK_SECRET": WEBHOOK_SECRET, "FREEPORT_PAYMENTS_URL": f"http://{LOOPBACK}:{free_port()}",
    }  # fmt: skip
    program = Program(
        name="provider",
        argv=(sys.executable, "-m", "freeport.sandbox.provider"),
        cwd=Path.cwd(),
        log=tmp_path / "log",
        env=environment,
    )
    process = launch(program)
    try:
        url = f"http://{LOOPBACK}:{port}"
        async with httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        ) as client:
            await _up(client)
            await RunningProvider(url, client).charge("k1", "tok_webhook_twice")
    finally:
        kill_group(process.pid)
        process.wait()
    async with running_provider(tmp_path, ear.transport()) as again:
        assert [charge["key"] for charge in await again.book()] == ["k1"]
        await until(lambda: ear.kinds() == ["charge.authorised"] * 2)


async def _up(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get("/healthz")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_one_work_that_fails_spoils_no_other_in_its_commit(tmp_path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO page VALUES ('torn')")
        raise LookupError("not this one")

    def note(word: str) -> Any:
        return lambda connection: connection.execute("INSERT INTO page VALUES (?)", (word,)).rowcount

    async with Book.opened(tmp_path / "deep" / "book.sqlite3", "CREATE TABLE IF NOT EXISTS page (word TEXT)") as book:
        results = await asyncio.gather(
            book.write(note("one")), book.write(fail), book.write(note("two")), return_exceptions=True
        )
        assert [type(result) for result in results] == [int, LookupError, int]
        assert [row["word"] for row in book.read("SELECT word FROM page")] == ["one", "two"]
