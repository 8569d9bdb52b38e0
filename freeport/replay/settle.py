"""From what the platform decided to the account of the file."""

from collections.abc import Mapping
from dataclasses import dataclass

from freeport.replay.account import Account, Bucket
from freeport.replay.lines import Kind, Line
from freeport.replay.plan import Plan
from freeport.replay.returning import Fate


@dataclass(frozen=True, slots=True)
class Decision:
    """What the platform said to an order. `code` is the reason's, where it said no."""

    fate: Fate
    code: str = ""


def settle(plan: Plan, decisions: Mapping[str, Decision], returns: Mapping[int, str]) -> Account:
    """The account of every line read.

    `decisions` by invoice number; `returns` by the line number of the cancellation: empty when the goods came back,
    else why not. An order or a cancellation that is missing in them has no end yet, and the account stays open.
    """
    account = Account()
    for line in plan.lines:
        account.read(line)
        match line.kind:
            case Kind.NOT_MERCHANDISE:
                account.end(line, Bucket.NOT_MERCHANDISE)
            case Kind.UNUSABLE:
                account.end(line, Bucket.UNUSABLE, line.why)
            case Kind.CANCELLATION:
                _end_cancellation(account, line, returns)
            case Kind.SALE:
                _end_sale(account, line, decisions)
    return account


def _end_sale(account: Account, line: Line, decisions: Mapping[str, Decision]) -> None:
    decision = decisions.get(line.invoice)
    if decision is None:
        return
    if decision.fate is Fate.REFUSED:
        account.end(line, Bucket.REJECTED, decision.code)
    else:
        account.end(line, Bucket.ACCEPTED)


def _end_cancellation(account: Account, line: Line, returns: Mapping[int, str]) -> None:
    why = returns.get(line.number)
    if why is None:
        return
    if why:
        account.end(line, Bucket.UNUSABLE, why)
    else:
        account.end(line, Bucket.RETURNED)
