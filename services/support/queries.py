"""Reading returns and tickets."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.support.domain.return_states import ReturnState
from services.support.domain.ticket import TicketStatus
from services.support.rows import message_from, return_from, ticket_from
from services.support.schemas import MessageOut, ReturnOut, TicketOut, TicketSummary
from shared.database import Connection, Database, Row
from shared.errors import not_found
from shared.http import Page, decode_cursor, page


async def one_return(database: Database, store_id: str, return_id: str) -> ReturnOut:
    """The store's return. Raises Refused with NOT_FOUND."""
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM return_case WHERE id = $1 AND store_id = $2", return_id, store_id)
        if not rows:
            raise not_found("return", return_id)
        return (await _with_lines(rows, connection))[0]


async def returns(
    database: Database, store_id: str, *, order_id: str | None, state: ReturnState | None, after: str | None, limit: int
) -> Page[ReturnOut]:
    """The store's returns, the newest first."""
    place = decode_cursor(after, 1)
    async with database.acquire() as connection:
        rows = await connection.fetch(
            """
            SELECT * FROM return_case
            WHERE store_id = $1 AND ($2::text IS NULL OR order_id = $2) AND ($3::text IS NULL OR state = $3)
              AND ($4::text IS NULL OR id < $4)
            ORDER BY id DESC LIMIT $5
            """,
            store_id,
            order_id,
            state,
            place[0] if place else None,
            limit + 1,
        )
        found = await _with_lines(rows, connection)
    return page(found, limit, lambda item: [item.id])


async def one_ticket(database: Database, store_id: str, ticket_id: str) -> TicketOut:
    """The store's ticket with all that was written. Raises Refused with NOT_FOUND."""
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT * FROM ticket WHERE id = $1 AND store_id = $2", ticket_id, store_id)
        if row is None:
            raise not_found("ticket", ticket_id)
        messages = await connection.fetch(
            "SELECT * FROM ticket_message WHERE ticket_id = $1 ORDER BY position", ticket_id
        )
    conversation = [MessageOut.model_validate(message_from(message).document()) for message in messages]
    return TicketOut.model_validate({**ticket_from(row).document(), "conversation": conversation})


async def tickets(
    database: Database,
    store_id: str,
    *,
    order_id: str | None,
    status: TicketStatus | None,
    breached: bool | None,
    after: str | None,
    limit: int,
) -> Page[TicketSummary]:
    """The store's tickets, the newest first."""
    place = decode_cursor(after, 1)
    rows = await database.fetch(
        """
        SELECT * FROM ticket
        WHERE store_id = $1 AND ($2::text IS NULL OR order_id = $2) AND ($3::text IS NULL OR status = $3)
          AND ($4::boolean IS NULL OR first_response_breached = $4) AND ($5::text IS NULL OR id < $5)
        ORDER BY id DESC LIMIT $6
        """,
        store_id,
        order_id,
        status,
        breached,
        place[0] if place else None,
        limit + 1,
    )
    found = [TicketSummary.model_validate(ticket_from(row).document()) for row in rows]
    return page(found, limit, lambda item: [item.id])


async def counts(database: Database) -> Mapping[str, int]:
    """How much waits, over all stores, for the metrics."""
    row = await database.fetchrow(
        """
        SELECT
            (SELECT count(*) FROM ticket WHERE status = 'open') AS tickets_open,
            (SELECT count(*) FROM ticket WHERE first_response_breached) AS tickets_breached,
            (SELECT count(*) FROM return_case WHERE state IN ('requested', 'approved', 'parcel_arrived')) AS returns_open,
            (SELECT count(*) FROM return_case WHERE refund = 'failed') AS refunds_failed,
            (SELECT count(*) FROM return_case WHERE refund = 'short') AS refunds_short,
            (SELECT count(*) FROM return_case WHERE restock = 'held') AS restocks_held
        """
    )
    assert row is not None  # noqa: S101 - an aggregate always gives a row
    return dict(row)


async def _with_lines(rows: Sequence[Row], connection: Connection) -> list[ReturnOut]:
    ids = [row["id"] for row in rows]
    lines = await connection.fetch("SELECT * FROM return_line WHERE return_id = ANY($1) ORDER BY position", ids)
    received = await connection.fetch("SELECT * FROM receipt_line WHERE return_id = ANY($1) ORDER BY position", ids)
    return [ReturnOut.model_validate(_document(row, lines, received)) for row in rows]


def _document(row: Row, lines: Sequence[Row], received: Sequence[Row]) -> dict[str, Any]:
    own = [line for line in lines if line["return_id"] == row["id"]]
    found = [line for line in received if line["return_id"] == row["id"]]
    return return_from(row, own, found).document()
