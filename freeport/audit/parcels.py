"""Invariants of the parcels: logistics and the carrier's own book tell the same story."""

from collections import defaultdict

from freeport.audit.books import Books, Row
from freeport.audit.check import Check, Finding
from freeport.audit.stuck import Stuck

_PARCELS = """
SELECT p.parcel_id, p.order_id, p.label, p.tracking_number, c.state,
    CASE p.attempt WHEN 1 THEN p.parcel_id ELSE p.parcel_id || '.' || p.attempt END AS label_key,
    (p.taken OR p.status <> 'label_created') AS handed_over
FROM parcel p JOIN consignment c USING (order_id)
"""
_RETURNS = """
SELECT return_id, order_id, tracking_number FROM return_parcel WHERE state IN ('labelled', 'arrived') AND tracking_number <> ''
"""
_RETURN_IDS = "SELECT return_id FROM return_parcel"
_WITHOUT_A_LABEL = frozenset({"void", "refused"})


async def labels_are_the_carriers(books: Books) -> Finding:
    """Every booked parcel has one live label at the carrier, and every live label there is a parcel's that is to go.

    A label whose outcome is unknown (ordered, or being taken back) is still asked about and not judged.
    """
    if books.carrier is None:
        return Finding()
    stuck = await Stuck.of(books)
    parcels = await books.read("logistics", _PARCELS)
    returns = await books.read("logistics", _RETURNS)
    by_key = {label["key"]: label for label in books.carrier.labels}
    finding = Finding(checked=len(by_key))
    for parcel in stuck.others(parcels):
        finding.add(1, _wrong_parcel(parcel, by_key.get(parcel["label_key"])))
    for parcel in stuck.others(returns):
        finding.add(1, _wrong_label(f"return {parcel['return_id']}", parcel, by_key.get(parcel["return_id"])))
    known = {parcel["parcel_id"]: parcel["label_key"] for parcel in parcels}
    known |= {row["return_id"]: row["return_id"] for row in await books.read("logistics", _RETURN_IDS)}
    return finding.add(0, _strays(books.carrier.labels, known))


def _wrong_parcel(parcel: Row, label: Row | None) -> list[str]:
    name = f"{parcel['order_id']}: parcel {parcel['parcel_id']}"
    alive = label is not None and label["voided_at"] is None
    if alive and parcel["label"] in _WITHOUT_A_LABEL:
        return [f"{name} has a label that is {parcel['label']} here and alive at the carrier"]
    if alive and parcel["state"] == "cancelled":
        return [f"{name} is of a cancelled shipment, and its label is alive at the carrier"]
    if parcel["label"] != "made":
        return []
    wrong = _wrong_label(name, parcel, label)
    if label is not None and not wrong and parcel["handed_over"] != (label["code"] != "label_created"):
        there = "has it" if label["code"] != "label_created" else "has not got it"
        return [f"{name} {'left' if parcel['handed_over'] else 'is still here'}, and the carrier {there}"]
    return wrong


def _wrong_label(name: str, parcel: Row, label: Row | None) -> list[str]:
    if label is None:
        return [f"{name} has the label {parcel['tracking_number']}, which the carrier never made"]
    if label["voided_at"] is not None:
        return [f"{name} has the label {parcel['tracking_number']}, which is void at the carrier"]
    if label["tracking"] != parcel["tracking_number"]:
        return [f"{name} has the label {parcel['tracking_number']}, at the carrier it is {label['tracking']}"]
    return []


def _strays(labels: tuple[Row, ...], known: dict[str, str]) -> list[str]:
    """Live labels that are nobody's, or not the one that a parcel has now."""
    live: defaultdict[str, list[Row]] = defaultdict(list)
    for label in labels:
        if label["voided_at"] is None:
            live[label["reference"]].append(label)
    return [
        f"{reference}: the carrier has the live label {label['tracking']}, of which logistics knows nothing"
        for reference, found in live.items()
        for label in found
        if known.get(reference) != label["key"]
    ]


CHECKS = (
    Check(
        "shipments.agree_with_carrier",
        "every parcel has one live label in the carrier's book, and none is nobody's",
        ("logistics",),
        labels_are_the_carriers,
    ),
)
