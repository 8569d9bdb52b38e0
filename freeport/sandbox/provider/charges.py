"""The provider's rules: what may happen to a charge, written as works on its book."""

import hashlib
import json
import sqlite3
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from freeport.sandbox import webhooks
from freeport.sandbox.provider.settings import ProviderSettings
from freeport.sandbox.provider.tokens import Behaviour, Operation, Refunds, card_of

SCHEMA = (
    webhooks.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS charge (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,           -- the caller's idempotency key
    request TEXT NOT NULL,              -- digest of what was asked under that key
    reference TEXT NOT NULL,
    asked INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    token TEXT NOT NULL,
    method TEXT NOT NULL,
    capture TEXT NOT NULL,
    status TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    decline_code TEXT,
    return_url TEXT NOT NULL,
    action_expires_at REAL,
    expires_at REAL,
    captured INTEGER NOT NULL DEFAULT 0,
    refunded INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    CHECK (captured BETWEEN 0 AND amount),
    CHECK (refunded BETWEEN 0 AND captured)
);
CREATE INDEX IF NOT EXISTS charge_reference ON charge (reference);
CREATE INDEX IF NOT EXISTS charge_acting ON charge (action_expires_at) WHERE status = 'requires_action';
CREATE INDEX IF NOT EXISTS charge_expiring ON charge (expires_at) WHERE status = 'authorised';
CREATE TABLE IF NOT EXISTS operation (
    key TEXT PRIMARY KEY,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,                 -- capture, void, refund
    charge_id TEXT NOT NULL REFERENCES charge (id),
    amount INTEGER NOT NULL,
    status TEXT NOT NULL,               -- succeeded, pending, failed
    failure_code TEXT,
    settles_at REAL,
    created_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS operation_charge ON operation (charge_id);
CREATE INDEX IF NOT EXISTS operation_settles ON operation (settles_at) WHERE settles_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS failed_once (key TEXT PRIMARY KEY);
"""
)


class Status(StrEnum):
    """Where a charge stands."""

    REQUIRES_ACTION = "requires_action"
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    EXPIRED = "expired"


class Refused(Exception):
    """The provider says no. `charge` is how the charge stands, where there is one."""

    def __init__(self, status: int, code: str, message: str, charge: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.charge = status, code, message, charge


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A charge as it was asked for. `key` is the idempotency key, `capture` is `manual` or `automatic`."""

    key: str
    reference: str
    amount: int
    currency: str
    token: str
    method: str
    capture: str
    return_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of an operation: the charge now, whether this call did it, and the webhooks that are to overtake the answer."""

    charge: dict[str, Any]
    behaviour: Behaviour
    first: bool
    ahead: tuple[str, ...] = ()


class Charges:
    """The provider's book of charges. Every method is a work for `Book.write`, at `now` seconds since 1970."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._settings = settings

    def make(self, book: sqlite3.Connection, asked: Asked, now: float) -> Done:
        """Authorise, charge, or ask the buyer to act. The same key with the same request gives the charge as it stands."""
        card = card_of(asked.token)
        if card is None:
            raise Refused(400, "invalid_token", f"no card has the token {asked.token}")
        digest = _digest(asked.reference, asked.amount, asked.currency, asked.token, asked.method, asked.capture)
        known = book.execute("SELECT * FROM charge WHERE key = ?", (asked.key,)).fetchone()
        if known is not None:
            _same(known, digest)
            return Done(charge=self.view(book, known), behaviour=card.behaviour, first=False)
        status, decline = self._verdict(book, asked, card.behaviour)
        amount = asked.amount + card.behaviour.adds
        action_ends = now + self._settings.provider_action_seconds if status is Status.REQUIRES_ACTION else None
        charge_id = f"ch_{uuid.uuid4().hex}"
        row = {
            "id": charge_id, "key": asked.key, "request": digest, "reference": asked.reference, "asked": asked.amount,
            "amount": amount, "currency": asked.currency, "token": asked.token, "method": asked.method,
            "capture": asked.capture, "status": status, "fingerprint": card.fingerprint, "decline_code": decline,
            "return_url": asked.return_url, "action_expires_at": action_ends, "created_at": now,
            "expires_at": self._expiry(card.behaviour, now) if status is Status.AUTHORISED else None,
            "captured": amount if status is Status.CAPTURED else 0,
        }  # fmt: skip
        names = ", ".join(row)
        book.execute(f"INSERT INTO charge ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))  # noqa: S608 (the names are ours)
        if status is Status.CAPTURED:
            _write_operation(
                book, f"{asked.key}:capture", digest, Operation.CAPTURE, charge_id, amount, "succeeded", now
            )
        return self._done(book, charge_id, card.behaviour, f"charge.{status}", now)

    def capture(self, book: sqlite3.Connection, charge_id: str, key: str, amount: int | None, now: float) -> Done:
        """Take the whole authorised amount, or the part of it that is named; the rest is released."""
        charge = self._charge(book, charge_id)
        behaviour = _behaviour(charge)
        wanted = charge["amount"] if amount is None else amount
        if self._repeated(book, charge, key, _digest("capture", charge_id, amount)):
            return Done(charge=self.view(book, charge), behaviour=behaviour, first=False)
        if charge["status"] == Status.AUTHORISED and charge["expires_at"] <= now:
            self.pass_time(book, now)
            charge = self._charge(book, charge_id)
        if charge["status"] != Status.AUTHORISED:
            raise Refused(409, "not_capturable", f"the charge is {charge['status']}", self.view(book, charge))
        if not 0 < wanted <= charge["amount"]:
            raise Refused(422, "amount_too_large", "more than was authorised", self.view(book, charge))
        book.execute("UPDATE charge SET status = 'captured', captured = ? WHERE id = ?", (wanted, charge_id))
        _write_operation(
            book, key, _digest("capture", charge_id, amount), Operation.CAPTURE, charge_id, wanted, "succeeded", now
        )
        return self._done(book, charge_id, behaviour, "charge.captured", now)

    def void(self, book: sqlite3.Connection, charge_id: str, key: str, now: float) -> Done:
        """Give the promise back, or end a charge that waits for the buyer."""
        charge = self._charge(book, charge_id)
        behaviour = _behaviour(charge)
        if self._repeated(book, charge, key, _digest("void", charge_id)):
            return Done(charge=self.view(book, charge), behaviour=behaviour, first=False)
        if charge["status"] not in (Status.AUTHORISED, Status.REQUIRES_ACTION):
            raise Refused(409, "not_voidable", f"the charge is {charge['status']}", self.view(book, charge))
        book.execute("UPDATE charge SET status = 'voided' WHERE id = ?", (charge_id,))
        _write_operation(
            book, key, _digest("void", charge_id), Operation.VOID, charge_id, charge["amount"], "succeeded", now
        )
        return self._done(book, charge_id, behaviour, "charge.voided", now)

    def refund(self, book: sqlite3.Connection, charge_id: str, key: str, amount: int, now: float) -> Done:
        """Give back a part of what was captured; never more than is left of it."""
        charge = self._charge(book, charge_id)
        behaviour = _behaviour(charge)
        if self._repeated(book, charge, key, _digest("refund", charge_id, amount)):
            return Done(charge=self.view(book, charge), behaviour=behaviour, first=False)
        if charge["status"] != Status.CAPTURED:
            raise Refused(409, "not_refundable", f"the charge is {charge['status']}", self.view(book, charge))
        if amount > charge["captured"] - charge["refunded"]:
            raise Refused(422, "exceeds_captured", "more than is left of what was captured", self.view(book, charge))
        status = "succeeded" if behaviour.refunds in (Refunds.AT_ONCE, Refunds.BOUNCE) else "pending"
        settles_at = None if behaviour.refunds is Refunds.AT_ONCE else now + self._settings.provider_refund_seconds
        book.execute("UPDATE charge SET refunded = refunded + ? WHERE id = ?", (amount, charge_id))
        digest = _digest("refund", charge_id, amount)
        _write_operation(book, key, digest, Operation.REFUND, charge_id, amount, status, now, settles_at)
        return self._done(book, charge_id, behaviour, f"refund.{status}", now, refund=key)

    def act(self, book: sqlite3.Connection, charge_id: str, *, complete: bool, now: float) -> dict[str, Any]:
        """The buyer completed or failed 3-D Secure. Acting again, or too late, changes nothing."""
        self.pass_time(book, now)
        charge = self._charge(book, charge_id)
        if charge["status"] == Status.REQUIRES_ACTION:
            behaviour = _behaviour(charge)
            if not complete:
                self._decline(book, charge_id, "authentication_failed")
            elif charge["capture"] == "automatic":
                book.execute("UPDATE charge SET status = 'captured', captured = amount WHERE id = ?", (charge_id,))
                digest = charge["request"]
                _write_operation(
                    book,
                    f"{charge['key']}:capture",
                    digest,
                    Operation.CAPTURE,
                    charge_id,
                    charge["amount"],
                    "succeeded",
                    now,
                )
            else:
                book.execute(
                    "UPDATE charge SET status = 'authorised', expires_at = ? WHERE id = ?",
                    (self._expiry(behaviour, now), charge_id),
                )
            self._tell(book, charge_id, behaviour, now)
        return self.view(book, self._charge(book, charge_id))

    def fail_once(self, book: sqlite3.Connection, key: str) -> bool:
        """Whether this is the first time that `key` is to fail."""
        return book.execute("INSERT OR IGNORE INTO failed_once (key) VALUES (?)", (key,)).rowcount == 1

    def pass_time(self, book: sqlite3.Connection, now: float) -> int:
        """Do what is due: actions not taken, authorisations that ran out, refunds that are decided. Returns how many."""
        acting = book.execute(
            "SELECT * FROM charge WHERE status = 'requires_action' AND action_expires_at <= ?", (now,)
        ).fetchall()
        for charge in acting:
            self._decline(book, charge["id"], "authentication_expired")
            self._tell(book, charge["id"], _behaviour(charge), now)
        lapsed = book.execute("SELECT * FROM charge WHERE status = 'authorised' AND expires_at <= ?", (now,)).fetchall()
        for charge in lapsed:
            book.execute("UPDATE charge SET status = 'expired' WHERE id = ?", (charge["id"],))
            self._tell(book, charge["id"], _behaviour(charge), now)
        settling = book.execute("SELECT * FROM operation WHERE settles_at <= ?", (now,)).fetchall()
        for refund in settling:
            self._settle(book, refund, now)
        return len(acting) + len(lapsed) + len(settling)

    def view(self, book: sqlite3.Connection, charge: sqlite3.Row) -> dict[str, Any]:
        """The charge as callers see it. Amounts are minor units."""
        operations = book.execute(
            "SELECT * FROM operation WHERE charge_id = ? ORDER BY rowid", (charge["id"],)
        ).fetchall()
        return charge_view(charge, operations, self._settings.public_url)

    def _verdict(self, book: sqlite3.Connection, asked: Asked, behaviour: Behaviour) -> tuple[Status, str | None]:
        if behaviour.decline:
            return Status.DECLINED, behaviour.decline
        if (
            behaviour.declines_again
            and book.execute("SELECT 1 FROM charge WHERE reference = ?", (asked.reference,)).fetchone()
        ):
            return Status.DECLINED, "card_declined"
        if behaviour.needs_action:
            return Status.REQUIRES_ACTION, None
        return (Status.CAPTURED if asked.capture == "automatic" else Status.AUTHORISED), None

    def _expiry(self, behaviour: Behaviour, now: float) -> float:
        settings = self._settings
        return now + (
            settings.provider_expiring_seconds if behaviour.expires_soon else settings.provider_authorisation_seconds
        )

    def _charge(self, book: sqlite3.Connection, charge_id: str) -> sqlite3.Row:
        row = book.execute("SELECT * FROM charge WHERE id = ?", (charge_id,)).fetchone()
        if row is None:
            raise Refused(404, "no_such_charge", f"there is no charge {charge_id}")
        return row

    def _repeated(self, book: sqlite3.Connection, charge: sqlite3.Row, key: str, digest: str) -> bool:
        known = book.execute("SELECT * FROM operation WHERE key = ?", (key,)).fetchone()
        if known is not None:
            _same(known, digest, self.view(book, charge))
        return known is not None

    def _decline(self, book: sqlite3.Connection, charge_id: str, code: str) -> None:
        book.execute("UPDATE charge SET status = 'declined', decline_code = ? WHERE id = ?", (code, charge_id))

    def _settle(self, book: sqlite3.Connection, refund: sqlite3.Row, now: float) -> None:
        charge = self._charge(book, refund["charge_id"])
        behaviour = _behaviour(charge)
        succeeded = behaviour.refunds is Refunds.LATER
        status, failure = ("succeeded", None) if succeeded else ("failed", "card_closed")
        book.execute(
            "UPDATE operation SET status = ?, failure_code = ?, settles_at = NULL WHERE key = ?",
            (status, failure, refund["key"]),
        )
        if not succeeded:
            book.execute("UPDATE charge SET refunded = refunded - ? WHERE id = ?", (refund["amount"], charge["id"]))
        self._enqueue(book, charge, behaviour, f"refund.{status}", now, refund=refund["key"])

    def _tell(self, book: sqlite3.Connection, charge_id: str, behaviour: Behaviour, now: float) -> None:
        """A webhook about what the provider found out by itself."""
        charge = self._charge(book, charge_id)
        self._enqueue(book, charge, behaviour, f"charge.{charge['status']}", now)

    def _done(
        self,
        book: sqlite3.Connection,
        charge_id: str,
        behaviour: Behaviour,
        kind: str,
        now: float,
        refund: str | None = None,
    ) -> Done:
        charge = self._charge(book, charge_id)
        told = behaviour.noisy or self._settings.provider_webhooks == "all"
        webhook_id = self._enqueue(book, charge, behaviour, kind, now, refund=refund) if told else None
        ahead = (webhook_id,) if webhook_id is not None and behaviour.webhook_first else ()
        return Done(charge=self.view(book, charge), behaviour=behaviour, first=True, ahead=ahead)

    def _enqueue(
        self,
        book: sqlite3.Connection,
        charge: sqlite3.Row,
        behaviour: Behaviour,
        kind: str,
        now: float,
        refund: str | None = None,
    ) -> str:
        # A hint and no more: who hears it asks for the charge. So no amounts, and nothing to forge.
        hint = {"id": charge["id"], "key": charge["key"], "reference": charge["reference"], "status": charge["status"]}
        after = (
            5.0 if behaviour.webhook_first else 0.0
        )  # sent by hand before the answer; this is for when it was not heard
        return webhooks.enqueue(
            book,
            kind,
            {"charge": hint, "refund_key": refund},
            now=now,
            after=after,
            deliveries=behaviour.webhook_deliveries,
        )


def charge_view(charge: sqlite3.Row, operations: list[sqlite3.Row], public_url: str) -> dict[str, Any]:
    """The charge as callers see it."""
    acting = charge["status"] == Status.REQUIRES_ACTION
    return {
        "id": charge["id"],
        "key": charge["key"],
        "reference": charge["reference"],
        "amount": charge["amount"],
        "currency": charge["currency"],
        "method": charge["method"],
        "capture": charge["capture"],
        "status": charge["status"],
        "fingerprint": charge["fingerprint"],
        "decline_code": charge["decline_code"],
        "action_url": f"{public_url}/actions/{charge['id']}" if acting else None,
        "action_expires_at": _instant(charge["action_expires_at"]),
        "expires_at": _instant(charge["expires_at"]),
        "renewable": True,
        "amount_captured": charge["captured"],
        "amount_refunded": charge["refunded"],
        "created_at": _instant(charge["created_at"]),
        "captures": [_operation_view(row) for row in operations if row["kind"] == Operation.CAPTURE],
        "refunds": [_operation_view(row) for row in operations if row["kind"] == Operation.REFUND],
    }


def _operation_view(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "key": row["key"],
        "amount": row["amount"],
        "status": row["status"],
        "failure_code": row["failure_code"],
        "created_at": _instant(row["created_at"]),
    }


def _write_operation(
    book: sqlite3.Connection, key: str, digest: str, kind: Operation, charge_id: str, amount: int, status: str, now: float,
    settles_at: float | None = None,
) -> None:  # fmt: skip
    book.execute(
        "INSERT INTO operation (key, request, kind, charge_id, amount, status, settles_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (key, digest, kind, charge_id, amount, status, settles_at, now),
    )


def _behaviour(charge: sqlite3.Row) -> Behaviour:
    card = card_of(charge["token"])
    if card is None:
        raise LookupError(f"the book holds a charge with the token {charge['token']}, which this version does not know")
    return card.behaviour


def _same(known: sqlite3.Row, digest: str, charge: dict[str, Any] | None = None) -> None:
    if known["request"] != digest:
        raise Refused(422, "key_reused", "this idempotency key was used for another request", charge)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _instant(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
