"""What a channel of the marketplace does, as functions of its book's connection. `now` is the real time in seconds."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from freeport.sandbox import webhooks

SCHEMA = (
    webhooks.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS behaviour (channel TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stock (
    channel TEXT NOT NULL,
    sku TEXT NOT NULL,
    quantity INTEGER NOT NULL,             -- what it believes that it may sell now: told less its own sales since
    version INTEGER NOT NULL,
    PRIMARY KEY (channel, sku)
);
CREATE TABLE IF NOT EXISTS listing (
    channel TEXT NOT NULL,
    sku TEXT NOT NULL,
    title TEXT NOT NULL,
    price INTEGER NOT NULL,
    currency TEXT NOT NULL,
    withdrawn INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (channel, sku)
);
CREATE TABLE IF NOT EXISTS feed (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    updates TEXT NOT NULL,
    due_at REAL NOT NULL,
    outcomes TEXT                          -- null until it is in effect
);
CREATE TABLE IF NOT EXISTS sale (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    channel TEXT NOT NULL,
    key TEXT,                              -- the buyer's idempotency key
    changed INTEGER NOT NULL,              -- the position of the newest change: what readers page by
    body TEXT NOT NULL,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    UNIQUE (channel, key)
);
CREATE UNIQUE INDEX IF NOT EXISTS sale_changed ON sale (changed);
CREATE TABLE IF NOT EXISTS refund (
    channel TEXT NOT NULL,
    key TEXT NOT NULL,
    order_id TEXT NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (channel, key)
);
"""
)


class Refused(Exception):
    """The marketplace says no: HTTP status, a stable code, words."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class Behaviour(BaseModel):
    """How a channel misbehaves; not at all by default. `unanswered` and `notices_lost` count down to zero."""

    model_config = ConfigDict(extra="forbid")

    delay_s: float = Field(default=0.0, ge=0, le=120)
    """Every answer to the seller is so late."""
    calls_per_s: float | None = Field(default=None, gt=0)
    """More calls of the seller are answered 429 with Retry-After."""
    unanswered: int = Field(default=0, ge=0)
    """So many stock calls take effect and are answered 504."""
    feed_s: float = Field(default=0.0, ge=0, le=3600)
    """Stock is taken into a feed and is in effect so many seconds later."""
    refused_skus: list[str] = []
    """Their listings and stock are refused."""
    notice_deliveries: int = Field(default=1, ge=1, le=10)
    """Every order notice is heard so often."""
    notices_lost: int = Field(default=0, ge=0)
    """So many order notices are never sent; the orders are there to be fetched."""
    notices_reordered: bool = False
    """Every other notice is sent so late that a newer one overtakes it."""


class Update(BaseModel):
    """One SKU's stock as the seller tells it."""

    sku: str = Field(min_length=1, max_length=100)
    quantity: int = Field(ge=0)
    version: int = Field(ge=0)


class OfferIn(BaseModel):
    """One SKU's listing: `price_minor` in minor units."""

    sku: str = Field(min_length=1, max_length=100)
    title: str = Field(min_length=1, max_length=500)
    price_minor: int = Field(ge=0)
    currency: str = Field(pattern=r"^[A-Z]{3}$")


class Purchase(BaseModel):
    """A buyer buys. With `key`, twice is once."""

    sku: str
    quantity: int = Field(default=1, ge=1)
    unit_price_minor: int = Field(default=1000, ge=0)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    country: str = Field(default="DE", pattern=r"^[A-Z]{2}$")
    postcode: str = "10115"
    fulfilled_by: str = Field(default="seller", pattern=r"^(seller|channel)$")
    ship_by_s: float | None = Field(default=None, gt=0)
    key: str | None = None


_LATE_S = 0.5


def behaviour_of(connection: sqlite3.Connection, channel: str) -> Behaviour:
    row = connection.execute("SELECT body FROM behaviour WHERE channel = ?", (channel,)).fetchone()
    return Behaviour() if row is None else Behaviour.model_validate_json(row["body"])


def behave(connection: sqlite3.Connection, channel: str, behaviour: Behaviour) -> None:
    connection.execute(
        "INSERT INTO behaviour VALUES (?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
        (channel, behaviour.model_dump_json()),
    )


def set_stock(
    connection: sqlite3.Connection, channel: str, updates: Sequence[Update], now: float
) -> tuple[list[dict[str, Any]], bool]:
    """What became of each update, and whether the answer is to be lost."""
    settle_feeds(connection, channel, now)
    mood = behaviour_of(connection, channel)
    lost = mood.unanswered > 0
    if lost:
        behave(connection, channel, mood.model_copy(update={"unanswered": mood.unanswered - 1}))
    if mood.feed_s:
        text = json.dumps([update.model_dump() for update in updates])
        cursor = connection.execute(
            "INSERT INTO feed (channel, updates, due_at) VALUES (?, ?, ?)", (channel, text, now + mood.feed_s)
        )
        feed = str(cursor.lastrowid)
        return [_outcome(update, "pending", feed=feed) for update in updates], lost
    return [_take(connection, channel, update, mood) for update in updates], lost


def settle_feeds(connection: sqlite3.Connection, channel: str, now: float) -> None:
    """Let the feeds whose time has come take effect, in their order."""
    mood = behaviour_of(connection, channel)
    due = connection.execute(
        "SELECT id, updates FROM feed WHERE channel = ? AND outcomes IS NULL AND due_at <= ? ORDER BY due_at, id",
        (channel, now),
    ).fetchall()
    for row in due:
        told = [_take(connection, channel, Update(**each), mood) for each in json.loads(row["updates"])]
        connection.execute("UPDATE feed SET outcomes = ? WHERE id = ?", (json.dumps(told), row["id"]))


def feed_outcomes(connection: sqlite3.Connection, channel: str, feed: str, now: float) -> list[dict[str, Any]] | None:
    settle_feeds(connection, channel, now)
    row = connection.execute("SELECT outcomes FROM feed WHERE channel = ? AND id = ?", (channel, feed)).fetchone()
    if row is None:
        raise Refused(404, "feed.not_found", f"there is no feed {feed}")
    return None if row["outcomes"] is None else json.loads(row["outcomes"])


def stock_after(connection: sqlite3.Connection, channel: str, sku: str, limit: int, now: float) -> list[dict[str, Any]]:
    settle_feeds(connection, channel, now)
    rows = connection.execute(
        "SELECT sku, quantity, version FROM stock WHERE channel = ? AND sku > ? ORDER BY sku LIMIT ?",
        (channel, sku, limit),
    )
    return [dict(row) for row in rows]


def publish(connection: sqlite3.Connection, channel: str, offers: Sequence[OfferIn]) -> list[dict[str, Any]]:
    mood = behaviour_of(connection, channel)
    taken = [offer for offer in offers if offer.sku not in mood.refused_skus]
    connection.executemany(
        "INSERT INTO listing (channel, sku, title, price, currency) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " title = excluded.title, price = excluded.price, currency = excluded.currency, withdrawn = 0",
        [(channel, offer.sku, offer.title, offer.price_minor, offer.currency) for offer in taken],
    )
    return [_listed(offer.sku, refused=offer.sku in mood.refused_skus) for offer in offers]


def withdraw(connection: sqlite3.Connection, channel: str, skus: Sequence[str]) -> list[dict[str, Any]]:
    connection.executemany(
        "UPDATE listing SET withdrawn = 1 WHERE channel = ? AND sku = ?", [(channel, sku) for sku in skus]
    )
    return [_listed(sku, refused=False) for sku in skus]


def buy(connection: sqlite3.Connection, channel: str, wish: Purchase, now: float) -> tuple[dict[str, Any], bool]:
    """Sell by what the channel believes that it has; returns the order and whether it is new. Refused when it knows of too little."""
    settle_feeds(connection, channel, now)
    if wish.key is not None:
        known = connection.execute(
            "SELECT body FROM sale WHERE channel = ? AND key = ?", (channel, wish.key)
        ).fetchone()
        if known is not None:
            return json.loads(known["body"]), False
    offer = connection.execute(
        "SELECT withdrawn FROM listing WHERE channel = ? AND sku = ?", (channel, wish.sku)
    ).fetchone()
    if offer is not None and offer["withdrawn"]:
        raise Refused(409, "listing.withdrawn", f"{wish.sku} is not offered here")
    if wish.fulfilled_by == "seller":
        sold = connection.execute(
            "UPDATE stock SET quantity = quantity - ? WHERE channel = ? AND sku = ? AND quantity >= ?",
            (wish.quantity, channel, wish.sku, wish.quantity),
        )
        if sold.rowcount == 0:
            raise Refused(409, "sold_out", f"there are not {wish.quantity} of {wish.sku} here")
    return _sell(connection, channel, wish, now), True


def orders_after(connection: sqlite3.Connection, channel: str, position: int, limit: int) -> list[dict[str, Any]]:
    rows = connection.execute(
        "SELECT changed, body FROM sale WHERE channel = ? AND changed > ? ORDER BY changed LIMIT ?",
        (channel, position, limit),
    )
    return [json.loads(row["body"]) | {"position": row["changed"]} for row in rows]


def acknowledge(connection: sqlite3.Connection, channel: str, orders: Sequence[str]) -> None:
    for order_id in orders:
        row = _sale(connection, channel, order_id)
        connection.execute("UPDATE sale SET acknowledged = 1 WHERE id = ?", (row["id"],))


def ship(connection: sqlite3.Connection, channel: str, order_id: str, parcel: dict[str, Any], now: float) -> None:
    """Note a parcel; the same tracking number again changes nothing."""
    row = _sale(connection, channel, order_id)
    order = json.loads(row["body"])
    if any(known["tracking_number"] == parcel["tracking_number"] for known in order["parcels"]):
        return
    if order["state"] == "cancelled":
        raise Refused(409, "order.cancelled", f"the order {order_id} was cancelled")
    order |= {"state": "shipped", "parcels": [*order["parcels"], parcel]}
    _change(connection, channel, row["id"], order, now)


def cancel(connection: sqlite3.Connection, channel: str, order_id: str, reason: str, now: float) -> dict[str, Any]:
    """End an order, by the seller or the buyer. What the channel may sell stays: the seller tells it."""
    row = _sale(connection, channel, order_id)
    order = json.loads(row["body"])
    if order["state"] == "shipped":
        raise Refused(409, "order.shipped", f"the order {order_id} is on its way")
    if order["state"] != "cancelled":
        order |= {"state": "cancelled", "cancel_reason": reason}
        _change(connection, channel, row["id"], order, now)
    return order


def refund(connection: sqlite3.Connection, channel: str, order_id: str, amount: int, key: str) -> None:
    """Give money back, once for each key, and never more than was paid."""
    order = json.loads(_sale(connection, channel, order_id)["body"])
    known = connection.execute("SELECT * FROM refund WHERE channel = ? AND key = ?", (channel, key)).fetchone()
    if known is not None:
        if (known["order_id"], known["amount"]) != (order_id, amount):
            raise Refused(422, "idempotency.mismatch", "this key refunded something else")
        return
    paid = sum(line["quantity"] * line["unit_price_minor"] for line in order["lines"])
    back = connection.execute(
        "SELECT coalesce(sum(amount), 0) AS n FROM refund WHERE channel = ? AND order_id = ?", (channel, order_id)
    ).fetchone()["n"]
    if back + amount > paid:
        raise Refused(409, "refund.too_much", f"{paid - back} are left to refund")
    connection.execute("INSERT INTO refund VALUES (?, ?, ?, ?)", (channel, key, order_id, amount))


def _take(connection: sqlite3.Connection, channel: str, update: Update, mood: Behaviour) -> dict[str, Any]:
    if update.sku in mood.refused_skus:
        return _outcome(update, "refused", "the marketplace does not take this SKU")
    known = connection.execute(
        "SELECT version FROM stock WHERE channel = ? AND sku = ?", (channel, update.sku)
    ).fetchone()
    if known is not None and known["version"] > update.version:
        return _outcome(update, "stale", f"version {known['version']} is here")
    # One version means one quantity. The same again must not give back what was sold here since.
    if known is None or known["version"] < update.version:
        connection.execute(
            "INSERT INTO stock VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET quantity = excluded.quantity, version = excluded.version",
            (channel, update.sku, update.quantity, update.version),
        )
    return _outcome(update, "applied")


def _outcome(update: Update, result: str, detail: str = "", feed: str = "") -> dict[str, Any]:
    return {"sku": update.sku, "version": update.version, "result": result, "detail": detail, "feed": feed}


def _listed(sku: str, *, refused: bool) -> dict[str, Any]:
    return {"sku": sku, "result": "refused" if refused else "applied", "detail": "not taken here" if refused else ""}


def _sell(connection: sqlite3.Connection, channel: str, wish: Purchase, now: float) -> dict[str, Any]:
    cursor = connection.execute(
        "INSERT INTO sale (channel, key, changed, body) VALUES (?, ?, ?, '{}')", (channel, wish.key, _next(connection))
    )
    serial = cursor.lastrowid or 0
    order: dict[str, Any] = {
        "external_id": f"{channel.upper()}-{serial:08d}",
        "channel": channel,
        "state": "open",
        "placed_at": _stamp(now),
        "currency": wish.currency,
        "country": wish.country,
        "postcode": wish.postcode,
        "fulfilled_by": wish.fulfilled_by,
        "ship_by": None if wish.ship_by_s is None else _stamp(now + wish.ship_by_s),
        "lines": [{"sku": wish.sku, "quantity": wish.quantity, "unit_price_minor": wish.unit_price_minor}],
        "parcels": [],
        "cancel_reason": "",
    }
    _change(connection, channel, serial, order, now)
    return order


def _change(connection: sqlite3.Connection, channel: str, serial: int, order: dict[str, Any], now: float) -> None:
    """Write the order as it is now, at a new position, and tell the seller as the channel is in the mood to."""
    order["updated_at"] = _stamp(now)
    connection.execute(
        "UPDATE sale SET body = ?, changed = ? WHERE id = ?", (json.dumps(order), _next(connection), serial)
    )
    mood = behaviour_of(connection, channel)
    if mood.notices_lost:
        behave(connection, channel, mood.model_copy(update={"notices_lost": mood.notices_lost - 1}))
        return
    after = _LATE_S if mood.notices_reordered and serial % 2 else 0.0
    webhooks.enqueue(connection, "order.changed", order, now=now, after=after, deliveries=mood.notice_deliveries)


def _next(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(max(changed), 0) + 1 AS n FROM sale").fetchone()["n"]


def _sale(connection: sqlite3.Connection, channel: str, order_id: str) -> sqlite3.Row:
    serial = order_id.removeprefix(f"{channel.upper()}-")
    row = connection.execute("SELECT * FROM sale WHERE channel = ? AND id = ?", (channel, serial)).fetchone()
    if row is None or json.loads(row["body"])["external_id"] != order_id:
        raise Refused(404, "order.not_found", f"there is no order {order_id}")
    return row


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
