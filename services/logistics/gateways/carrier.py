"""The carrier's API. A call names a parcel; what goes on the label is read here, so that no call carries a name."""

from collections.abc import Mapping
from typing import Any

import httpx
import structlog

from services.logistics.domain.rules import customs_territory
from shared.database import Database, Row
from shared.effects import Call

_log = structlog.get_logger()

_PRINT_TIMEOUT_S = 5.0

_LABEL = """
SELECT p.parcel_id, p.service, p.mode, p.country, p.gross_grams, p.items, r.name, r.email, r.phone, r.address,
       paper.number AS invoice_number, paper.data AS invoice,
       (SELECT coalesce(jsonb_object_agg(pair.key, pair.value), '{}') FROM document d, jsonb_each_text(d.identifiers) AS pair
        WHERE d.order_id = p.order_id) AS identifiers
FROM parcel p
JOIN recipient r ON r.order_id = p.order_id
JOIN paper ON paper.order_id = p.order_id AND paper.kind = 'commercial_invoice'
WHERE p.parcel_id = $1
"""
_RETURN = """
SELECT q.return_id, q.warehouse, q.country, q.grams, q.carrier, c.destination
FROM return_parcel q JOIN consignment c ON c.order_id = q.order_id WHERE q.return_id = $1
"""


class NoRecipient(LookupError):
    """The label's recipient was erased before the label was made."""


class Carrier:
    """Buys, finds and voids labels. Each method answers a kind of call; None is an unknown outcome."""

    def __init__(self, client: httpx.AsyncClient, database: Database, *, url: str, key: str) -> None:
        self._client = client
        self._database = database
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {key}"}

    async def label(self, call: Call) -> dict[str, Any] | None:
        """{"tracking_number": …} or {"refused": {code, detail}}."""
        row = await self._database.fetchrow(_LABEL, call.request["parcel"])
        if row is None:
            raise NoRecipient(f"nothing is known for the label of {call.request['parcel']}")
        return await self._buy(call, _order(row))

    async def return_label(self, call: Call) -> dict[str, Any] | None:
        """The same for the way back: from the buyer's country to the warehouse."""
        row = await self._database.fetchrow(_RETURN, call.request["subject"])
        if row is None:
            raise LookupError(f"there is no return {call.request['subject']}")
        return await self._buy(call, _return_order(row))

    async def find(self, call: Call) -> dict[str, Any] | None:
        """The label that a key made: {"tracking_number": …} or {"absent": true}."""
        answer = await self._ask("GET", "/labels", params={"key": call.request["subject"]})
        if answer is None or answer.status_code not in (200, 404):
            return None
        return {"absent": True} if answer.status_code == 404 else _number(answer.json())

    async def void(self, call: Call) -> dict[str, Any] | None:
        """{"voided": true} or {"handed_over": true}."""
        answer = await self._ask("POST", f"/labels/{call.request['tracking_number']}/void")
        if answer is None or answer.status_code not in (200, 409):
            return None
        return {"handed_over": True} if answer.status_code == 409 else {"voided": True}

    async def _buy(self, call: Call, order: Mapping[str, Any]) -> dict[str, Any] | None:
        headers = {"idempotency-key": str(call.request["subject"])}
        answer = await self._ask("POST", "/labels", json=order, headers=headers)
        if answer is None or answer.status_code >= 500 or answer.status_code in (401, 403, 408, 429):
            return None  # not a word about the label itself
        if answer.status_code >= 400:
            return {"refused": _problem(answer)}
        return _number(answer.json())

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response | None:
        headers = self._headers | more.pop("headers", {})
        try:
            answer = await self._client.request(method, self._url + path, headers=headers, **more)
        except httpx.HTTPError as error:
            _log.warning("carrier.unanswered", path=path, error=repr(error))
            return None
        if answer.status_code >= 500 or answer.status_code in (401, 403):
            _log.warning("carrier.unanswered", path=path, status=answer.status_code)
        return answer


async def print_label(url: str, key: str, tracking_number: str) -> bytes | None:
    """The label as a PDF, None when the carrier does not give it. It is never kept: it shows a name."""
    path = f"{url.rstrip('/')}/labels/{tracking_number}.pdf"
    try:
        async with httpx.AsyncClient(timeout=_PRINT_TIMEOUT_S) as client:
            answer = await client.get(path, headers={"authorization": f"Bearer {key}"})
    except httpx.HTTPError as error:
        _log.warning("carrier.unanswered", path="/labels/{tracking}.pdf", error=repr(error))
        return None
    return answer.content if answer.status_code == 200 else None


def _order(row: Row) -> dict[str, Any]:
    address = row["address"]
    to = {
        "name": row["name"],
        "email": row["email"],
        "phone": row["phone"],
        "address": {name: value or "" for name, value in address.items()},
    }
    order: dict[str, Any] = {
        "reference": row["parcel_id"],
        "kind": "outbound",
        "service": row["service"],
        "mode": row["mode"],
        "origin": row["country"],
        "to": to,
        "weight_grams": row["gross_grams"],
    }
    if customs_territory(row["country"]) != customs_territory(address["country"]):
        order["customs"] = _customs(row)
    return order


def _customs(row: Row) -> dict[str, Any]:
    """The declaration of one parcel: values and weights are of the whole line, never of a unit."""
    invoice = row["invoice"]
    by_sku = {line["sku"]: line for line in reversed(invoice["lines"])}
    identifiers: Mapping[str, str] = row["identifiers"]
    return {
        "incoterm": invoice["incoterm"],
        "invoice_number": row["invoice_number"],
        "tax_id": next(iter(identifiers.values()), ""),
        "lines": [_customs_line(by_sku[item["sku"]], item["quantity"]) for item in row["items"]],
    }


def _customs_line(line: Mapping[str, Any], quantity: int) -> dict[str, Any]:
    unit = line["unit_value"]
    return {
        "sku": line["sku"],
        "description": line["description"],
        "quantity": quantity,
        "hs_code": line["hs_code"],
        "origin": line["origin"],
        "value": {"amount": str(int(unit["amount"]) * quantity), "currency": unit["currency"]},
        "weight_grams": line["net_grams"] // line["quantity"] * quantity,
    }


def _return_order(row: Row) -> dict[str, Any]:
    home = {"line1": f"Warehouse {row['warehouse']}", "city": row["warehouse"], "country": row["country"]}
    return {
        "reference": row["return_id"],
        "kind": "return",
        "service": "return",
        "mode": "domestic" if row["destination"] == row["country"] else "post",
        "origin": row["destination"],
        "to": {"name": f"Returns {row['warehouse']}", "address": home},
        "weight_grams": row["grams"],
    }


def _number(label: Mapping[str, Any]) -> dict[str, Any]:
    return {"tracking_number": str(label["tracking_number"])}


def _problem(answer: httpx.Response) -> dict[str, str]:
    body: dict[str, Any] = {}
    try:
        body = answer.json()
    except ValueError:
        _log.warning("carrier.speechless", status=answer.status_code)
    return {"code": str(body.get("code", answer.status_code)), "detail": str(body.get("detail", ""))[:500]}
