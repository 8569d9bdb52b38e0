"""A broker that was started anew may have lost its data: its topics are made again, and nobody else's start does that."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from freeport import up
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
