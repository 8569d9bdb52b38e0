"""What a member of a group knows of partitions that it lost and got again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from shared.contracts import topics
from shared.messaging.consumer import Consumer
from shared.messaging.kafka import Partition
from shared.messaging.survey import Committed, Survey

PLACE = Partition(topics.ORDER.name, 0)
HEADERS = [("ce_id", b"evt_1"), ("ce_sequence", b"1")]


@dataclass
class Client:
    """A member whose partitions and records a test hands out."""

    assigned: frozenset[Partition] = frozenset({PLACE})
    fetched: dict[Partition, Sequence[Any]] = field(default_factory=dict)
    committed: list[int] = field(default_factory=list)

    def assignment(self) -> frozenset[Partition]:
        return self.assigned

    async def getmany(self, **_: int) -> Mapping[Partition, Sequence[Any]]:
        fetched, self.fetched = self.fetched, {}
        return fetched

    def highwater(self, place: Partition) -> int:
        assert place in self.assigned, "Partition is not assigned"  # as aiokafka does
        return 0

    async def commit(self, offsets: Mapping[Any, Any]) -> None:
        self.committed += [at.offset for at in offsets.values()]


class Desk:
    """Takes everything."""

    name, retries = "till", 0
    router = SimpleNamespace(topics=(topics.ORDER,))

    async def settle(self, _: object) -> None: ...


class DeskInARebalance(Desk):
    """While it settles, the group gives the partitions to another member."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def settle(self, _: object) -> None:
        self.client.assigned = frozenset()


async def test_a_member_that_loses_a_partition_while_it_settles_goes_on() -> None:
    client: Any = Client(
        fetched={PLACE: [SimpleNamespace(offset=5, key=b"k", value=b"{}", headers=HEADERS, timestamp=0)]}
    )
    desk: Any = DeskInARebalance(client)
    consumer: Any = Consumer(desk, "")
    assert await consumer._step(client) == 1


async def test_a_partition_that_came_back_is_known_by_what_others_committed_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk: Any = Desk()
    client: Any = Client()
    probe: Any = None
    consumer = Consumer(desk, "")
    found = Survey("cluster", frozenset(), {PLACE: 0}, {PLACE: 100})

    async def look() -> Survey:
        return found

    monkeypatch.setattr(consumer, "look", look)
    await consumer._verify(client)
    client.fetched = {PLACE: [SimpleNamespace(offset=49, key=b"o", value=b"{}", headers=HEADERS, timestamp=1)]}
    assert await consumer._step(client) == 1
    assert f"'{PLACE.topic}/0': 50" in (await consumer.waiting(probe) or "")

    client.assigned = frozenset()  # before it committed; another member reads to the end
    await consumer._verify(client)
    found = Survey("cluster", frozenset(), {PLACE: 0}, {PLACE: 100}, committed={PLACE: Committed(100, "1 evt_2")})
    client.assigned = frozenset({PLACE})
    await consumer._verify(client)
    assert await consumer.waiting(probe) is None  # the watchdog would end it for what the other has read
    await consumer._commit(client)
    assert client.committed == []  # else the group went back to where this member had been
