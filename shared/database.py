"""PostgreSQL through asyncpg: one pool a process, time-outs everywhere, and the only place that begins a transaction."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy
from sqlalchemy import MetaData

from shared.jsonable import dumps

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

# A replica that freezes in a transaction must not stop a sale, and a frozen server must not freeze us.
_SERVER_SETTINGS = {
    "lock_timeout": "2s",
    "statement_timeout": "15s",
    "idle_in_transaction_session_timeout": "5s",
    # Of a client whose machine is gone the server learns by these: its locks must not outlive it for hours.
    "tcp_keepalives_idle": "15",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "timezone": "UTC",
}
_CONNECT_TIMEOUT_S = 5.0
_COMMAND_TIMEOUT_S = 20.0  # of a server that is frozen; a living one gives up before, by statement_timeout
_ACQUIRE_TIMEOUT_S = 5.0

# SQLSTATE classes that are no message's fault: connection, rollback (serialisation, deadlock), resources, shutdown, system.
_TRANSIENT_CLASSES = frozenset({"08", "40", "53", "57", "58"})
# A lock not had, a session that idled in its transaction and was ended, a server that became a standby.
_TRANSIENT_STATES = frozenset({"55P03", "25P03", "25P04", "25006"})


class Stale(Exception):
    """Another replica was faster at a position, a call or an idempotency key: read again and decide again."""


class NoConnection(Exception):
    """The pool gave no connection in time."""


def is_transient(error: BaseException) -> bool:
    """Whether the same batch may simply be run again: the error is no message's fault."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state[:2] in _TRANSIENT_CLASSES or state in _TRANSIENT_STATES
    return isinstance(
        error, Stale | NoConnection | OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError
    )


@asynccontextmanager
async def single_connection(url: str, application_name: str) -> AsyncGenerator[Connection]:
    """A connection outside of any pool, cut at the end. Raises what is_transient knows when the server cannot be reached."""
    connection = await asyncpg.connect(
        url,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=_CONNECT_TIMEOUT_S,
        server_settings=_SERVER_SETTINGS | {"application_name": application_name},
    )
    try:
        yield connection
    finally:
        connection.terminate()


class Database:
    """A pool of connections to one service's database."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, url: str, *, pool_size: int = 8, application_name: str = "freeport") -> "Database":
        """Open the pool. Raises OSError or a PostgresError when the server cannot be reached."""
        pool = await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=pool_size,
            command_timeout=_COMMAND_TIMEOUT_S,
            timeout=_CONNECT_TIMEOUT_S,
            init=_prepare,
            server_settings=_SERVER_SETTINGS | {"application_name": application_name},
        )
        return cls(pool)

    async def close(self, *, patience_s: float = 2.0) -> None:
        """Close within a bound; connections that do not end are cut."""
        closing = asyncio.ensure_future(self._pool.close())
        await asyncio.wait({closing}, timeout=patience_s)
        if not closing.done():
            closing.cancel()
            self._pool.terminate()

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[Connection]:
        """A connection without a transaction, for reads and single statements."""
        try:
            connection = await self._pool.acquire(timeout=_ACQUIRE_TIMEOUT_S)
        except TimeoutError as error:
            raise NoConnection("no database connection became free in time") from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Connection]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """All rows of a read."""
        async with self.acquire() as connection:
            return await connection.fetch(sql, *args)

    async def fetch_in_turn(self, turn: str, sql: str, *args: Any) -> list[Row]:
        """All rows of a statement that replicas run one after the other: each sees what those before it committed.

        `turn` names what they queue for. One statement cannot do it: it sees what was committed before it began to wait.
        """
        async with self.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", turn)
            return await connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row of a read, or None."""
        async with self.acquire() as connection:
            return await connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row of a read, or None."""
        async with self.acquire() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> str:
        """One statement in a transaction of its own. Returns PostgreSQL's command tag."""
        async with self.acquire() as connection:
            return await connection.execute(sql, *args)

    def pool_state(self) -> tuple[int, int]:
        """(connections open, of these idle), for the metrics."""
        return self._pool.get_size(), self._pool.get_idle_size()


def columns(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Rows as the arrays that `unnest($1::text[], $2::bigint[], …)` puts together again: one list a column.

    All rows are equally long, else ValueError. There is a column only where there is a row: ask for nothing without one.
    """
    return [list(column) for column in zip(*rows, strict=True)]


def new_metadata() -> MetaData:
    """Metadata for a service's tables, with constraint names that migrations can rely on."""
    return MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


async def _prepare(connection: Connection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, encoder=_dump, decoder=orjson.loads, schema="pg_catalog")


def _dump(value: Any) -> str:
    return dumps(value).decode()
