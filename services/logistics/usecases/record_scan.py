"""A carrier's webhook: where a parcel was seen."""

from dataclasses import dataclass
from datetime import timedelta

from services.logistics.domain.desk import Desk, Place, Stray
from services.logistics.domain.handover import Act, Signal
from services.logistics.domain.parcels import Scan
from services.logistics.domain.returning import track_return
from shared.contracts.logistics import TrackingStatus
from shared.effects import Deadline, Due, Effects, Moment, Reply

STRAY = "scan.stray"
_FIRST_LOOK = timedelta(seconds=5)
_PATIENCE = timedelta(days=3)  # as long as carriers repeat webhooks


@dataclass(frozen=True, slots=True)
class RecordScan:
    """A verified webhook."""

    scan: Scan


def record_scan(command: RecordScan, desk: Desk, now: Moment) -> Effects:
    """Note the scan. One of a parcel that nobody knows is kept: the answer that makes it known may be on its way."""
    scan = command.scan
    place = find(scan, desk)
    if place is None:
        desk.strays[scan.webhook_id] = Stray(scan, now.decided_at)
        desk.new_strays.add(scan.webhook_id)
        return [Deadline(STRAY, scan.webhook_id, now.decided_at + _FIRST_LOOK), Reply({"status": "kept"}, status=202)]
    return [*_note(place, scan, desk, now), Reply({"status": "noted"})]


def place_stray(due: Due, desk: Desk, now: Moment) -> Effects:
    """Look again whose the scan is; less often each time, and no more after three days."""
    stray = desk.strays.get(due.key)
    if stray is None:
        return []
    place = find(stray.scan, desk)
    if place is not None:
        desk.found_strays.add(due.key)
        return _note(place, stray.scan, desk, now)
    age = now.decided_at - stray.since
    if age > _PATIENCE:
        desk.found_strays.add(due.key)
        return []
    return [Deadline(STRAY, due.key, now.decided_at + max(age, _FIRST_LOOK))]


def find(scan: Scan, desk: Desk) -> Place | None:
    """Whose parcel it is, by what we called it or by its number."""
    return desk.places.get(scan.reference) or desk.places.get(scan.tracking_number)


def _note(place: Place, scan: Scan, desk: Desk, now: Moment) -> Effects:
    desk.scans.append((place, scan))
    if place.return_id:
        desk.touched_returns.add(place.return_id)
        return track_return(desk.returns[place.return_id], scan)
    consignment = desk.take(place.order_id)
    if consignment.answer(Signal.SCANNED) is not Act.TRACK:
        return []
    if scan.status is TrackingStatus.UNKNOWN:
        return [consignment.scanned(scan)]  # told as it is; it says nothing about where the parcel is
    return consignment.track(consignment.box_of_parcel(place.parcel_id), scan, now.decided_at)
