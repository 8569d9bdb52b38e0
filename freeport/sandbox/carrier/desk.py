"""What the carrier does: sell labels, void them, move parcels. Everything is a function of its book's connection."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from freeport.sandbox import webhooks
from freeport.sandbox.carrier.journey import ENDS, Kind, timetable
from shared import s10

SCHEMA = (
    webhooks.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS label (
    serial INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,              -- the caller's idempotency key: one key, one label
    fingerprint TEXT NOT NULL,
    tracking TEXT UNIQUE,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL,
    service TEXT NOT NULL,
    origin TEXT NOT NULL,
    destination TEXT NOT NULL,
    weight_grams INTEGER NOT NULL,
    body TEXT NOT NULL,
    code TEXT NOT NULL DEFAULT 'label_created',
    created_at REAL NOT NULL,              -- sandbox time
    voided_at REAL,
    step INTEGER NOT NULL DEFAULT 0,
    next_at REAL                           -- when the next scan happens by itself; null when none does
);
CREATE INDEX IF NOT EXISTS label_next ON label (next_at) WHERE next_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS scan (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tracking TEXT NOT NULL,
    code TEXT NOT NULL,
    at REAL NOT NULL,                      -- sandbox time
    country TEXT NOT NULL,
    forced INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    ahead REAL NOT NULL,                   -- seconds that the sandbox's clock is ahead of the real one
    deliveries INTEGER NOT NULL            -- how often each webhook is delivered
);
INSERT OR IGNORE INTO clock VALUES (1, 0, 1);
"""
)

# The first two letters of an S10 number tell the kind of item: L tracked packets, E express, C parcels.
_INDICATORS = {"post": "LX", "express": "EE", "line": "CP", "domestic": "CD"}


class Refused(Exception):
    """The carrier says no: HTTP status, a stable code, words."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Desk:
    """`hour_s` is how many seconds an hour of a journey takes; `now` of each method is the real time in seconds."""

    hour_s: float

    def sell(
        self, connection: sqlite3.Connection, key: str, order: dict[str, Any], now: float
    ) -> tuple[dict[str, Any], bool]:
        """Make a label, or give the one that this key made already. Returns (label, whether it was made just now)."""
        fingerprint = sha256(json.dumps(order, sort_keys=True).encode()).hexdigest()
        known = _one(connection, "SELECT * FROM label WHERE key = ?", key)
        if known is not None:
            if known["fingerprint"] != fingerprint:
                raise Refused(422, "idempotency.mismatch", "this key made another label")
            return parsed(known), False
        at = now + _ahead(connection)
        origin, destination, kind = order["origin"], order["to"]["address"]["country"], Kind(order["kind"])
        cursor = connection.execute(
            "INSERT INTO label (key, fingerprint, reference, kind, service, origin, destination, weight_grams, body, created_at, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                fingerprint,
                order["reference"],
                kind.value,
                order["service"],
                origin,
                destination,
                order["weight_grams"],
                json.dumps(order),
                at,
                at + timetable(kind, origin, destination)[0].hours * self.hour_s,
            ),
        )
        serial = cursor.lastrowid or 0
        tracking = s10.number(_INDICATORS[order["mode"]], serial % 100_000_000, origin)
        connection.execute("UPDATE label SET tracking = ? WHERE serial = ?", (tracking, serial))
        return label_of(connection, tracking), True

    def void(self, connection: sqlite3.Connection, tracking: str, now: float) -> dict[str, Any]:
        """Take a label back. Refused once the parcel is in the carrier's hands; doing it twice is doing it once."""
        found = label_of(connection, tracking)
        if found["code"] != "label_created":
            raise Refused(409, "label.handed_over", f"the parcel {tracking} is with us already")
        if found["voided_at"] is None:
            at = now + _ahead(connection)
            connection.execute("UPDATE label SET voided_at = ?, next_at = NULL WHERE tracking = ?", (at, tracking))
        return label_of(connection, tracking)

    def force(
        self,
        connection: sqlite3.Connection,
        tracking: str,
        code: str,
        now: float,
        at: float | None = None,
        deliveries: int | None = None,
    ) -> dict[str, Any]:
        """A scan as ordered: lost, damaged, any code. An end of the journey stops what would happen by itself."""
        found = label_of(connection, tracking)
        if found["voided_at"] is not None:
            raise Refused(409, "label.void", f"nothing can be scanned under the void label {tracking}")
        if code in ENDS:
            connection.execute("UPDATE label SET next_at = NULL WHERE tracking = ?", (tracking,))
        moment = now + _ahead(connection) if at is None else at
        return _scan(connection, found, code, moment, found["destination"], forced=True, now=now, deliveries=deliveries)

    def advance(self, connection: sqlite3.Connection, hours: float, now: float) -> int:
        """Move the clock and every parcel with it. Returns how many scans that made."""
        connection.execute("UPDATE clock SET ahead = ahead + ?", (hours * self.hour_s,))
        return self.move(connection, now)

    def move(self, connection: sqlite3.Connection, now: float) -> int:
        """Make the scans that are due by the sandbox's clock, in the order of their time."""
        made = 0
        while (
            row := _one(
                connection, "SELECT * FROM label WHERE next_at <= ? ORDER BY next_at LIMIT 1", now + _ahead(connection)
            )
        ) is not None:
            steps = timetable(Kind(row["kind"]), row["origin"], row["destination"])
            number: int = row["step"]
            step = steps[number]
            _scan(
                connection,
                parsed(row),
                step.code,
                row["next_at"],
                row["destination"] if step.abroad else row["origin"],
                forced=False,
                now=now,
            )
            rest = steps[number + 1 :]
            next_at = row["created_at"] + rest[0].hours * self.hour_s if rest else None
            connection.execute(
                "UPDATE label SET step = step + 1, next_at = ? WHERE serial = ?", (next_at, row["serial"])
            )
            made += 1
        return made


def label_of(connection: sqlite3.Connection, tracking: str) -> dict[str, Any]:
    """The label with that number. Raises Refused."""
    row = _one(connection, "SELECT * FROM label WHERE tracking = ?", tracking)
    if row is None:
        raise Refused(404, "label.not_found", f"there is no label {tracking}")
    return parsed(row)


def set_deliveries(connection: sqlite3.Connection, deliveries: int) -> None:
    """From now on each webhook is delivered that often."""
    connection.execute("UPDATE clock SET deliveries = ?", (deliveries,))


def shown(label: dict[str, Any]) -> dict[str, Any]:
    """The label as the API gives it."""
    return {
        "tracking_number": label["tracking"],
        "reference": label["reference"],
        "kind": label["kind"],
        "service": label["service"],
        "status": "void" if label["voided_at"] is not None else label["code"],
        "weight_grams": label["weight_grams"],
        "created_at": stamp(label["created_at"]),
        "pdf": f"/labels/{label['tracking']}.pdf",
    }


def stamp(at: float) -> str:
    """Seconds as RFC 3339."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _scan(
    connection: sqlite3.Connection,
    label: dict[str, Any],
    code: str,
    at: float,
    country: str,
    *,
    forced: bool,
    now: float,
    deliveries: int | None = None,
) -> dict[str, Any]:
    cursor = connection.execute(
        "INSERT INTO scan (tracking, code, at, country, forced) VALUES (?, ?, ?, ?, ?)",
        (label["tracking"], code, at, country, forced),
    )
    connection.execute("UPDATE label SET code = ? WHERE serial = ?", (code, label["serial"]))
    scan = {
        "scan_id": cursor.lastrowid,
        "tracking_number": label["tracking"],
        "reference": label["reference"],
        "kind": label["kind"],
        "code": code,
        "scanned_at": stamp(at),
        "country": country,
    }
    often = deliveries or connection.execute("SELECT deliveries FROM clock").fetchone()[0]
    webhooks.enqueue(connection, "parcel.scanned", scan, now=now, deliveries=often)
    return scan


def _ahead(connection: sqlite3.Connection) -> float:
    return connection.execute("SELECT ahead FROM clock").fetchone()[0]


def _one(connection: sqlite3.Connection, sql: str, *args: Any) -> sqlite3.Row | None:
    return connection.execute(sql, args).fetchone()


def parsed(row: sqlite3.Row) -> dict[str, Any]:
    """A row of the book, its body parsed."""
    return {**dict(row), "body": json.loads(row["body"])}
