"""A broker that was started anew may have lost its data: its topics are made again, and nobody else's start does that."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

from freeport import topics, up
from freeport.layout import Home, Ports
from freeport.state import Condition, ProgramState, State
from shared.contracts.topics import TOPICS


def ignore(_: State) -> None:
    """Nobody looks at the state."""


async def test_topics_are_made_again_when_the_broker_was_started_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []
    done = asyncio.Event()

    async def create(bootstrap: str, topics: Any, *, partitions: int) -> list[str]:
        made.append((bootstrap, len(topics)))
        if len(made) == 1:
            raise KafkaConnectionError("it says that it runs, and takes no connection yet")
        done.set()
        return []

    monkeypatch.setattr(up, "create_topics", create)
    home = Home(tmp_path / "home")
    home.directory.mkdir()
    ports = Ports(23000)
    supervision = up.Supervision(home, ports, ignore)
    supervision._report(ProgramState(name="kafka", condition=Condition.RUNNING))
    supervision._report(ProgramState(name="orders", condition=Condition.RUNNING, restarts=1))
    await asyncio.sleep(0)
    assert made == []
    supervision._report(ProgramState(name="kafka", condition=Condition.RUNNING, restarts=1))
    async with asyncio.timeout(10):
        await done.wait()
    assert made == [(f"127.0.0.1:{ports.of('kafka')}", len(TOPICS))] * 2


class Starting:
    """An administrator of a cluster one of whose brokers is known and cannot be asked yet: every question meets it first."""

    def __init__(self, **_: object) -> None:
        self.met: set[str] = set()
        self.made: list[str] = []

    def meet(self, question: str) -> None:
        if question not in self.met:
            self.met.add(question)
            raise NodeNotReadyError(question)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def describe_cluster(self) -> dict[str, Any]:
        self.meet("describe")
        return {"brokers": [1, 2, 3]}

    async def list_topics(self) -> list[str]:
        self.meet("list")
        return []

    async def create_topics(self, wanted: Sequence[Any]) -> Any:
        self.meet("create")
        self.made += [topic.name for topic in wanted]
        return SimpleNamespace(topic_errors=[(topic.name, 0, None) for topic in wanted])


async def test_a_broker_that_is_just_starting_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    admin = Starting()
    monkeypatch.setattr(topics, "AIOKafkaAdminClient", lambda **_: admin)
    names = [topic.name for topic in TOPICS]
    assert await topics.create_topics("nowhere", TOPICS, replicas=3) == names
    assert admin.made == names
