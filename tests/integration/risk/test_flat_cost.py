"""Reading a window costs the same after a thousand events of a key and after a million."""

import statistics
import time

import pytest

from services.risk.domain.velocity import History, counts, second_of
from services.risk.main import SERVICE
from services.risk.repository import load_casework
from shared.contracts.orders import OrderPlaced
from shared.database import Connection
from shared.messaging.message import Message
from tests.builders.risk import NOON, a_history, a_moment, placed
from tests.fixtures.bench import Bench, BenchFactory

pytestmark = pytest.mark.integration

_DAY = 86_400
_READS = 60


def a_days_events(key: str, number: int) -> History:
    """A key with so many events, spread over the seconds of the day before noon, and folded."""
    history = a_history(f"str_demo:card:{key}")
    seconds = min(number, _DAY)
    each, more = divmod(number, seconds)
    end = second_of(NOON)
    for index in range(seconds):
        history.record(end - index * _DAY // seconds, counts(orders=each + (index < more)))
    history.fold()
    return history


async def store(history: History, connection: Connection) -> None:
    """Write it down as the repository would."""
    await connection.execute(
        "INSERT INTO velocity_key VALUES ($1, 1, $2, true, '', '', now())", history.key, history.newest
    )
    rows: list[tuple[str, int, int, bytes]] = [
        (history.key, *place, tally.packed) for place, tally in history.nodes.items()
    ]
    await connection.copy_records_to_table("velocity_node", records=rows)


async def read(message: Message, connection: Connection) -> tuple[float, History]:
    """The seconds it takes to load an order's working set and to read all its windows; and the card's history."""
    started = time.perf_counter()
    casework = await load_casework([message], connection)
    order: OrderPlaced = message.body
    (history,) = casework.histories.values()
    for window in ("10m", "24h", "30d"):
        history.measure("orders", window, second_of(order.placed_at))
    return time.perf_counter() - started, history


async def test_a_million_events_read_as_quickly_as_a_thousand(service_bench: BenchFactory) -> None:
    bench: Bench = await service_bench(SERVICE)
    sizes = {"quiet": 10**3, "busy": 10**6}
    histories = {key: a_days_events(key, number) for key, number in sizes.items()}
    messages = {
        key: Message(body=placed(index, at=NOON, card=key), moment=a_moment(at=NOON)) for index, key in enumerate(sizes)
    }
    async with bench.database.transaction() as connection:
        for history in histories.values():
            await store(history, connection)
        best = min([await _ratio(messages, connection) for _ in range(3)])
        for key, number in sizes.items():
            _, history = await read(messages[key], connection)
            assert history.measure("orders", "24h", second_of(NOON)) == number
            assert len(history.nodes) <= 13
    # A shared machine adds noise in both directions, so the best of three rounds is asked.
    assert best <= 1.5


async def _ratio(messages: dict[str, Message], connection: Connection) -> float:
    """Of the medians of many reads in turn."""
    taken: dict[str, list[float]] = {key: [] for key in messages}
    for _ in range(_READS):
        for key, message in messages.items():
            taken[key].append((await read(message, connection))[0])
    return statistics.median(taken["busy"]) / statistics.median(taken["quiet"])


def test_the_rows_of_a_node_are_bounded() -> None:
    history = a_days_events("busy", 10**6)
    assert max(len(tally.slots()) for tally in history.nodes.values()) == 60
