"""Every kind of nonsense that the chaos suite puts into a topic really is nonsense to today's consumers."""

from datetime import UTC, datetime
from random import Random

import pytest

from shared.contracts.topics import ORDER
from shared.messaging.codec import Malformed, message_of, open_envelope
from shared.messaging.kafka import MAX_RECORD_BYTES
from tests.chaos.faults.topics import Poison, poisons

KINDS = poisons("poison-1", Random(1))


@pytest.mark.parametrize("poison", KINDS, ids=lambda poison: poison.what)
def test_a_poison_cannot_be_read(poison: Poison) -> None:
    with pytest.raises(Malformed):
        message_of(
            open_envelope(ORDER.name, b"poison-1-0", poison.value, list(poison.headers)), decided_at=datetime.now(UTC)
        )


def test_the_huge_one_is_as_large_as_kafka_takes_but_not_larger() -> None:
    sizes = [len(poison.value or b"") for seed in range(50) for poison in poisons("poison-1", Random(seed))]
    assert 900_000 < max(sizes) < MAX_RECORD_BYTES
