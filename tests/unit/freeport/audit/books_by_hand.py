"""Books whose tables are written by hand, for what an audit makes of rows."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from freeport.audit.books import Books, CarrierBook, Connection, ProviderBook, Row

Tables = Mapping[str, Sequence[Row]]


class _Tables:
    """Answers a query with the rows of the table that it reads first; a table that is not named has none."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def fetch(self, sql: str) -> list[dict[str, Any]]:
        table = sql.rsplit("FROM ", 1)[-1].split()[0]
        return [dict(row) for row in self._tables.get(table, ())]


def books_of(
    databases: Mapping[str, Tables], provider: ProviderBook | None = None, carrier: CarrierBook | None = None
) -> Books:
    """Each service's tables by name."""
    connections = {service: cast("Connection", _Tables(tables)) for service, tables in databases.items()}
    return Books(connections, provider, carrier)
