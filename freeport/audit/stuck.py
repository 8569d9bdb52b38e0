"""What waits for a person because a message could not be decided.

An open dead letter explains why its stream stands still, why later events of it are parked or unpublished, and why services
know different things about its order or SKU. The audit tells of the letter once, as a matter that needs attention, and the
checks that compare services with each other leave its subject out. What holds inside one transaction (counters, ledgers,
sequences) holds with a letter as well, and is always checked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from freeport.audit.books import Books, Row

LETTERS = """
SELECT d.id, d.source, d.topic, d.key, d.sequence, d.error, d.failed_at, coalesce(c.key, d.key) AS subject
FROM dead_letter d LEFT JOIN outside_call c ON d.source = 'call' AND c.id = d.key
WHERE d.state = 'open' ORDER BY d.failed_at, d.id
"""
# Up to where a stream was published: one that is halted ends before the first event that Kafka has not taken.
HEADS = """
SELECT h.topic, h.key, CASE WHEN h.halted THEN coalesce((
    SELECT min(o.sequence) - 1 FROM outbox o WHERE o.topic = h.topic AND o.key = h.key AND o.published_at IS NULL
), h.sequence) ELSE h.sequence END AS sequence FROM stream_head h
"""
_HOLDING_A_STREAM = frozenset({"event", "gap", "stream"})


@dataclass(frozen=True, slots=True)
class Stuck:
    """`streams` are (service, topic, key) with the letter that holds each; `subjects` the orders and SKUs of all letters."""

    streams: dict[tuple[str, str, str], str]
    subjects: frozenset[str]

    @classmethod
    async def of(cls, books: Books) -> "Stuck":
        """From the open letters of every service that is there."""
        streams: dict[tuple[str, str, str], str] = {}
        subjects: set[str] = set()
        for service in books.databases:
            for letter in await books.read(service, LETTERS):
                if letter["source"] in _HOLDING_A_STREAM:
                    streams.setdefault((service, letter["topic"], letter["key"]), letter["id"])
                subjects.add(letter["subject"])
        return cls(streams, frozenset(subjects))

    def others(self, rows: Iterable[Row], key: str = "order_id") -> list[Row]:
        """The rows whose subject no letter is about."""
        return [row for row in rows if row[key] not in self.subjects]
