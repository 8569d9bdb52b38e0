"""What an audit reads: each service's database at one moment, and the books of the sandbox provider and carrier."""

import sqlite3
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """Reads of every service's database, each through one connection, the charges of the provider and the labels of the carrier.

    Tests give connections of their own: an audit then sees what an open transaction has spoiled, and a rollback mends it.
    """

    databases: Mapping[str, Connection]
    provider: "ProviderBook | None" = None
    carrier: "CarrierBook | None" = None
    _known: dict[tuple[str, str], list[Row]] = field(default_factory=dict[tuple[str, str], list[Row]])

    def has(self, services: Iterable[str]) -> bool:
        return all(service in self.databases for service in services)

    async def read(self, service: str, sql: str) -> list[Row]:
        """The rows of a query, read once however many checks ask for them."""
        known = self._known.get((service, sql))
        if known is None:
            known = self._known[service, sql] = [dict(row) for row in await self.databases[service].fetch(sql)]
        return known

    async def by_key(self, service: str, sql: str, key: str = "order_id") -> dict[str, Row]:
        """The rows by a column whose values are unique in them."""
        return {str(row[key]): row for row in await self.read(service, sql)}


@dataclass(frozen=True, slots=True)
class ProviderBook:
    """Everything the sandbox provider did. Amounts are minor units."""

    charges: tuple[Row, ...]
    operations: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path) -> "ProviderBook":
        """From the provider's SQLite file, whether or not the provider runs."""
        charges, operations = _tables(
            file, "SELECT * FROM charge ORDER BY rowid", "SELECT * FROM operation ORDER BY rowid"
        )
        return cls(charges, operations)


@dataclass(frozen=True, slots=True)
class CarrierBook:
    """Every label that the sandbox carrier made: whose (`reference`), under which `key`, where its parcel is (`code`)."""

    labels: tuple[Row, ...]

    @classmethod
    def read(cls, file: Path) -> "CarrierBook":
        """From the carrier's SQLite file, whether or not the carrier runs. Names and addresses are left there."""
        [labels] = _tables(file, "SELECT key, tracking, reference, kind, code, voided_at FROM label ORDER BY serial")
        return cls(labels)


def _tables(file: Path, *queries: str) -> list[tuple[Row, ...]]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        return [tuple(dict(row) for row in connection.execute(query)) for query in queries]
    finally:
        connection.close()


@asynccontextmanager
async def open_books(urls: Mapping[str, str]) -> AsyncGenerator[Books]:
    """Open each database (`urls` by service) in a read-only transaction that sees one moment of it."""
    async with AsyncExitStack() as stack:
        databases: dict[str, Connection] = {}
        for service, url in urls.items():
            connection: Connection = await asyncpg.connect(url)
            stack.push_async_callback(connection.close)
            await stack.enter_async_context(connection.transaction(isolation="repeatable_read", readonly=True))
            databases[service] = connection
        yield Books(databases)
