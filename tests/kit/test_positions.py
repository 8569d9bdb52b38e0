"""The gate that makes the log's order and its repetitions harmless, without a database."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.topics import ORDER, STOCK
from shared.messaging.codec import Envelope
from shared.messaging.positions import Position, Stream, sort_out


def an_envelope(key: str, sequence: int, topic: str = ORDER.name) -> Envelope:
    return Envelope(topic, key, sequence, {}, b"{}")


class Gate:
    """Positions and parked events over several batches, as the database would keep them."""

    def __init__(self) -> None:
        self.positions: dict[Stream, Position] = defaultdict(Position)
        self.parked: dict[Stream, dict[int, Envelope]] = defaultdict(dict)

    def pass_through(self, *batch: Envelope) -> list[int]:
        for envelope in batch:
            _ = self.positions[envelope.stream]
        return [envelope.sequence for envelope in sort_out(batch, self.positions, self.parked).fresh]


def test_the_next_event_passes_and_a_repeated_one_does_not() -> None:
    gate = Gate()
    assert gate.pass_through(an_envelope("o", 1), an_envelope("o", 1), an_envelope("o", 2)) == [1, 2]
    assert gate.pass_through(an_envelope("o", 2)) == []


def test_an_event_before_its_predecessor_waits_and_then_follows() -> None:
    gate = Gate()
    assert gate.pass_through(an_envelope("o", 3), an_envelope("o", 2)) == []
    assert gate.pass_through(an_envelope("o", 1)) == [1, 2, 3]
    assert not any(gate.parked.values())


def test_a_halted_key_parks_what_follows() -> None:
    gate = Gate()
    gate.positions[ORDER.name, "o"].halted = True
    assert gate.pass_through(an_envelope("o", 1), an_envelope("o", 2)) == []
    assert gate.positions[ORDER.name, "o"].parked == 2


def test_of_a_state_topic_the_newer_version_wins_and_nothing_parks() -> None:
    gate = Gate()
    assert gate.pass_through(an_envelope("sku", 7, STOCK.name), an_envelope("sku", 5, STOCK.name)) == [7]
    assert gate.pass_through(an_envelope("sku", 9, STOCK.name)) == [9]


@given(st.data())
def test_any_order_with_any_repetitions_in_any_batches_passes_each_event_once_and_in_sequence(
    data: st.DataObject,
) -> None:
    events = [an_envelope(key, n) for key in ("a", "b", "c") for n in range(1, data.draw(st.integers(1, 6)) + 1)]
    log = data.draw(st.permutations(events + data.draw(st.lists(st.sampled_from(events), max_size=10))))
    gate, passed = Gate(), defaultdict[str, list[int]](list)
    while log:
        size = data.draw(st.integers(1, len(log)))
        batch, log = log[:size], log[size:]
        for envelope in batch:
            _ = gate.positions[envelope.stream]
        for envelope in sort_out(batch, gate.positions, gate.parked).fresh:
            passed[envelope.key].append(envelope.sequence)
    for key in ("a", "b", "c"):
        assert passed[key] == list(range(1, len(passed[key]) + 1))
        assert len(passed[key]) == sum(1 for envelope in events if envelope.key == key)
    assert all(position.parked == 0 for position in gate.positions.values())
