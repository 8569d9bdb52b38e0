"""What a shipment in any state does about any message: one total table, for late messages too."""

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """How far an order's shipment is."""

    AWAITING = "awaiting"  # the confirmation, or clear papers
    ADDRESSING = "addressing"  # name and address are being fetched
    LABELLING = "labelling"  # labels are being made
    STUCK = "stuck"  # nobody carries it, no address, a label refused: a person must look
    BOOKED = "booked"  # labels are made, parcels wait for hand-over
    DISPATCHED = "dispatched"  # every parcel is with the carrier
    DELIVERED = "delivered"
    LOST = "lost"
    VOIDING = "voiding"  # cancelled if the carrier still lets us
    CANCELLED = "cancelled"


class Signal(StrEnum):
    """What comes in."""

    CONFIRMED = "confirmed"  # orders: paid and reserved
    PAPERS = "papers"  # a document or a catalog change
    ADDRESSED = "addressed"
    NO_ADDRESS = "no_address"
    LABELLED = "labelled"
    LABEL_REFUSED = "label_refused"
    VOIDED = "voided"
    TOO_LATE = "too_late"  # the carrier has the parcel already
    SCANNED = "scanned"
    CANCEL = "cancel"  # orders asks; it gets an answer
    ENDED = "ended"  # orders has rejected or cancelled
    RETRY = "retry"  # a person asks to book again


class Act(StrEnum):
    """What is done about it."""

    NOTHING = "nothing"
    JUDGE = "judge"  # look at the papers; book when they are clear and the order is confirmed
    PLAN = "plan"  # note where the goods are
    LABEL = "label"  # choose services, make papers, ask for labels
    STICK = "stick"  # tell what is wrong
    TAKE = "take"  # note the label; booked when it was the last
    NOTE = "note"  # note that the label was refused; the address is being fetched again
    TRACK = "track"
    UNDO = "undo"  # void what labels there are; refuse when a parcel is handed over
    DROP = "drop"  # forget it; nothing exists that must be undone
    CANCEL = "cancel"  # drop, and say so
    REFUSE = "refuse"  # too late, say so
    COUNT = "count"  # one label less; cancelled when it was the last
    VOID = "void"  # a label that came late is void
    TURN_BACK = "turn_back"  # the carrier has a parcel: refuse, and label again what was void
    RENEW = "renew"  # a label was void that is wanted after all: make another
    KEEP = "keep"  # a label that was to be void is not: it counts again
    CONFIRM = "confirm"  # it is cancelled, say so again
    RESUME = "resume"  # book again
    DECLINE = "decline"  # there is nothing to book again


_EVERYWHERE: Mapping[Signal, Act] = dict.fromkeys(Signal, Act.NOTHING) | {Signal.RETRY: Act.DECLINE}
_WITH_THE_CARRIER = {Signal.SCANNED: Act.TRACK, Signal.CANCEL: Act.REFUSE}

_ANSWERS: Mapping[State, Mapping[Signal, Act]] = {
    State.AWAITING: {
        Signal.CONFIRMED: Act.JUDGE, Signal.PAPERS: Act.JUDGE, Signal.CANCEL: Act.CANCEL, Signal.ENDED: Act.DROP,
    },
    State.ADDRESSING: {
        Signal.CONFIRMED: Act.PLAN, Signal.ADDRESSED: Act.LABEL, Signal.NO_ADDRESS: Act.STICK, Signal.LABELLED: Act.TAKE,
        Signal.LABEL_REFUSED: Act.NOTE, Signal.VOIDED: Act.RENEW, Signal.TOO_LATE: Act.KEEP, Signal.SCANNED: Act.TRACK,
        Signal.CANCEL: Act.UNDO, Signal.ENDED: Act.UNDO,
    },
    State.LABELLING: {
        Signal.LABELLED: Act.TAKE, Signal.LABEL_REFUSED: Act.STICK, Signal.VOIDED: Act.RENEW, Signal.TOO_LATE: Act.KEEP,
        Signal.SCANNED: Act.TRACK, Signal.CANCEL: Act.UNDO, Signal.ENDED: Act.UNDO,
    },
    State.STUCK: {
        Signal.CONFIRMED: Act.PLAN, Signal.LABELLED: Act.TAKE, Signal.LABEL_REFUSED: Act.STICK, Signal.VOIDED: Act.RENEW,
        Signal.TOO_LATE: Act.KEEP, Signal.SCANNED: Act.TRACK, Signal.CANCEL: Act.UNDO, Signal.ENDED: Act.UNDO,
        Signal.RETRY: Act.RESUME,
    },
    State.BOOKED: {Signal.SCANNED: Act.TRACK, Signal.CANCEL: Act.UNDO, Signal.ENDED: Act.UNDO},
    State.DISPATCHED: _WITH_THE_CARRIER,
    State.DELIVERED: _WITH_THE_CARRIER,
    State.LOST: _WITH_THE_CARRIER,
    State.VOIDING: {
        Signal.LABELLED: Act.VOID, Signal.LABEL_REFUSED: Act.COUNT, Signal.VOIDED: Act.COUNT, Signal.TOO_LATE: Act.TURN_BACK,
        Signal.SCANNED: Act.TRACK,
    },
    State.CANCELLED: {Signal.LABELLED: Act.VOID, Signal.VOIDED: Act.COUNT, Signal.CANCEL: Act.CONFIRM},
}  # fmt: skip

TABLE: Mapping[tuple[State, Signal], Act] = {
    (state, signal): _ANSWERS[state].get(signal, _EVERYWHERE[signal]) for state in State for signal in Signal
}
"""The answer to every signal in every state."""
