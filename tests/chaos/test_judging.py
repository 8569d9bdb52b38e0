"""The suite itself: the same seed gives the same run, every row has a fault, and a fault without effect fails the run."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, cast

import asyncpg
import httpx
import pytest
from aiokafka.errors import KafkaConnectionError

from tests.chaos.cluster import Cluster
from tests.chaos.fault import BITES_WITHIN_S, EVERYTHING, Fault, Feature, Harmless
from tests.chaos.faults import FAULTS
from tests.chaos.judge import Judgement, Resources, worse
from tests.chaos.load import Outcome, Request, Shop
from tests.chaos.schedule import Record, Struck, _in_turn, draw, play
from tests.chaos.summary import Summary
from tests.chaos.waiting import until

ONE = frozenset({Feature.ONE_BROKER})
NOBODY = cast("Cluster", None)


def fault(name: str, strike: Any, *, occupies: frozenset[str] = frozenset(), always: bool = True) -> Fault:
    return Fault(name=name, row=1, says=name, strike=strike, lasts=0.1, occupies=occupies, always=always)


async def bites(cluster: Cluster, rng: Random) -> str:
    return f"bit {rng.random()}"


async def misses(cluster: Cluster, rng: Random) -> str:
    raise Harmless("nobody noticed")


def summary(record: Record, judgement: Judgement | None = None) -> Summary:
    return Summary(
        seed=7,
        minutes=1,
        command="make chaos SEED=7",
        record=record,
        history=(),
        judgement=judgement or Judgement(),
        seconds={},
        logs=Path("logs"),
    )


def test_a_seed_draws_the_same_faults_again() -> None:
    first, again = (draw(FAULTS, ONE, 7, 240) for _ in range(2))
    assert [fault.name for fault in first] == [fault.name for fault in again]
    assert [fault.name for fault in first] != [fault.name for fault in draw(FAULTS, ONE, 8, 240)]


@pytest.mark.parametrize("seed", range(5))
def test_every_run_has_what_every_run_must_have(seed: int) -> None:
    drawn = {fault.name for fault in draw(FAULTS, ONE, seed, 200)}
    assert {fault.name for fault in FAULTS if fault.always and fault.needs <= ONE} <= drawn


def test_every_row_of_the_matrix_has_a_fault() -> None:
    assert {fault.row for fault in FAULTS} == set(range(1, 31))


def test_a_row_with_many_faults_does_not_crowd_out_the_others() -> None:
    rows = [fault.row for fault in _in_turn(FAULTS, Random(11))]
    assert sorted(rows[:30]) == list(range(1, 31))


def test_names_are_unique() -> None:
    assert [name for name, n in Counter(fault.name for fault in FAULTS).items() if n > 1] == []


def test_what_a_fault_occupies_is_something_that_there_is() -> None:
    assert frozenset[str]().union(*(fault.occupies for fault in FAULTS)) <= EVERYTHING


def test_whoever_stops_a_server_for_longer_than_others_wait_for_their_effect_strikes_alone() -> None:
    long = [fault for fault in FAULTS if fault.occupies & {"kafka", "postgres"} and fault.lasts > BITES_WITHIN_S]
    assert [fault.name for fault in long if not fault.occupies >= EVERYTHING] == []


def test_a_fault_is_drawn_only_for_a_cluster_that_has_what_it_needs() -> None:
    assert all(fault.needs <= ONE for fault in draw(FAULTS, ONE, 3, 10_000))


async def test_a_fault_without_effect_fails_the_run() -> None:
    record = await play(NOBODY, [fault("kept", bites), fault("lost", misses)], 1, 5)
    found = summary(record)
    assert not found.ok
    assert found.violations == ["lost had no effect: nobody noticed"]
    assert {fault["name"]: fault["bit"] for fault in found.as_json()["faults"]} == {"kept": 1, "lost": 0}


async def test_a_run_without_any_fault_proves_nothing() -> None:
    assert not summary(await play(NOBODY, [], 1, 1)).ok


async def test_what_every_run_has_strikes_even_when_the_time_is_over_and_the_rest_is_named() -> None:
    plan = [fault("extra", bites, always=False), fault("promised", bites)]
    record = await play(NOBODY, plan, 1, 0)
    assert ([struck.name for struck in record.struck], record.left_out) == (["promised"], ["extra"])


async def test_two_faults_never_hit_the_same_thing_at_once() -> None:
    inside: list[str] = []
    most = 0

    async def strike(cluster: Cluster, rng: Random) -> str:
        nonlocal most
        inside.append("kafka")
        most = max(most, len(inside))
        await asyncio.sleep(0)
        inside.pop()
        return "bit"

    kafka = frozenset({"kafka"})
    record = await play(NOBODY, [fault(str(number), strike, occupies=kafka) for number in range(3)], 1, 20)
    assert (len(record.struck), most) == (3, 1)


async def test_what_needs_everything_is_not_passed_over_for_ever() -> None:
    plan = [
        fault("first", bites, occupies=frozenset({"orders"})),
        fault("all", bites, occupies=EVERYTHING),
        *(fault(f"later {number}", bites, occupies=frozenset({"risk"})) for number in range(4)),
    ]
    record = await play(NOBODY, plan, 1, 20)
    assert [struck.name for struck in record.struck][:2] == ["first", "all"]


async def test_what_a_fault_draws_depends_on_the_seed_and_its_name_alone() -> None:
    alone = await play(NOBODY, [fault("one", bites)], 5, 5)
    beside = await play(NOBODY, [fault("other", bites), fault("one", bites)], 5, 5)
    assert {struck.bit for struck in alone.struck} <= {struck.bit for struck in beside.struck}


def test_a_summary_names_the_command_that_repeats_it_and_the_logs_of_a_run_that_failed() -> None:
    judgement = Judgement(violations=["K: twice"])
    told = summary(Record(struck=[Struck("a", 1, 0.0, bit="bit")]), judgement).as_json()
    assert (told["ok"], told["violations"], told["again"], told["logs"]) == (
        False,
        ["K: twice"],
        "make chaos SEED=7",
        "logs",
    )


def used(sessions: int = 0, *, stuck: int = 0, mib: int = 100) -> Resources:
    return Resources(sessions, stuck, {"orders": mib << 20})


@pytest.mark.parametrize(
    ("now", "processes", "found"),
    [
        (used(24), 2, []),  # both pools of both, full: they shrink minutes later
        (used(25), 2, ["25 database sessions, 24 at most"]),
        (used(stuck=1), 2, ["1 sessions are idle in a transaction"]),
        (used(mib=250), 2, []),
        (used(mib=251), 2, ["orders has grown from 100 to 251 MiB"]),
    ],
)
def test_what_a_quiet_cluster_may_use(now: Resources, processes: int, found: list[str]) -> None:
    assert worse(used(), now, processes) == found


@pytest.mark.parametrize(
    "error",
    [asyncpg.CannotConnectNowError("the database system is starting up"), KafkaConnectionError(), httpx.ReadError("")],
)
async def test_who_looks_while_another_fault_is_on_looks_again(error: Exception) -> None:
    errors = [error]

    async def look() -> int:
        if errors:
            raise errors.pop()
        return 7

    assert await until(look, bool, "an answer", 5) == 7


async def test_what_is_wrong_is_not_waited_out() -> None:
    async def look() -> int:
        raise asyncpg.UndefinedTableError("no such table")

    with pytest.raises(asyncpg.UndefinedTableError):
        await until(look, bool, "an answer", 5)


class Answers(httpx.AsyncBaseTransport):
    """Answers in turn: a status, or None for a connection that breaks."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.keys: list[str] = []
        self.ports: list[int | None] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        self.ports.append(request.url.port)
        status = self.statuses.pop(0)
        if status is None:
            raise httpx.ReadError("gone")
        return httpx.Response(status, json={"id": "ord_1"}, headers={"Retry-After": "0"})


async def sent(tmp_path: Path, *statuses: int | None) -> tuple[Request, Shop, Answers]:
    transport = Answers(*statuses)
    async with httpx.AsyncClient(transport=transport) as http:
        shop = Shop(_two_replicas(tmp_path), http)
        request = await shop.send(Request("order", "orders", "/v1/orders", {}, "order-1"))
    return request, shop, transport


def _two_replicas(directory: Path) -> Cluster:
    """A cluster that was never started: its addresses are all that a client needs."""
    cluster = Cluster(directory, 24000, ONE)
    for number in (1, 2):
        cluster._replica("orders", number)
    return cluster


async def test_an_unknown_outcome_is_asked_again_with_the_same_key_at_the_other_replica(tmp_path: Path) -> None:
    request, shop, transport = await sent(tmp_path, None, 503, 201)
    assert (request.outcome, request.order_id, request.unknown, request.busy) == (Outcome.OK, "ord_1", 1, 1)
    assert set(transport.keys) == {"order-1"}
    assert len(set(transport.ports)) == 2
    assert shop.complaints == []


async def test_a_refusal_is_an_outcome_and_a_500_is_a_complaint(tmp_path: Path) -> None:
    request, shop, _ = await sent(tmp_path, 500, 422)
    assert request.outcome is Outcome.FAILED
    assert len(shop.complaints) == 1
