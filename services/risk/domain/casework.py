"""What a batch of messages touches: order files, histories, reviews, and the rule set of each store."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.risk.domain.operands import DISTINCT, Fact, Present, Value, Velocity, facts_of
from services.risk.domain.order_file import Observation, OrderFile
from services.risk.domain.review import Review
from services.risk.domain.rule_set import Decision, RuleSet
from services.risk.domain.velocity import Counts, History, counts
from shared.contracts.orders import OrderPlaced
from shared.contracts.risk import ReviewCause


@dataclass(frozen=True, slots=True)
class Activation:
    """A store's new rule set, as it is to be stored."""

    store_id: str
    rule_set: RuleSet
    activated_by: str


@dataclass(slots=True)
class Casework:
    """The working set. Every order file, history and rule set that a message may need is in it, new ones empty."""

    shipped: RuleSet  # for a store that has chosen none
    shipped_is_stored: bool = True  # so that assessments that refer to it can be explained by later versions
    rule_sets: dict[str, RuleSet] = field(default_factory=dict[str, RuleSet])  # the active one by store
    files: dict[str, OrderFile] = field(default_factory=dict[str, OrderFile])
    histories: dict[str, History] = field(default_factory=dict[str, History])
    reviews: dict[str, Review] = field(default_factory=dict[str, Review])
    activations: list[Activation] = field(default_factory=list[Activation])
    decided: list[Decision] = field(default_factory=list[Decision])  # for the metrics

    def rules_of(self, store_id: str) -> RuleSet:
        """The rule set that decides for a store, the same for the whole of a message."""
        return self.rule_sets.get(store_id, self.shipped)

    def activate(self, store_id: str, rule_set: RuleSet, by: str) -> None:
        """From the next message on, this rule set decides for the store."""
        self.rule_sets[store_id] = rule_set
        self.activations.append(Activation(store_id, rule_set, by))

    def observe(self, file: OrderFile, second: int, happened: Counts) -> None:
        """Count what happened to an order under all its keys, or let it wait until they are known."""
        if not file.own:
            file.wait_with(Observation(second, happened))
            return
        for kind, value in file.keys:
            self._history(file, kind, value).record(second, happened)

    def admit(self, file: OrderFile) -> None:
        """The order itself counts under all its keys, and each key has now been seen with the order's cards and e-mail."""
        self.observe(file, file.second, file.own)
        companions = _companions(file)
        for kind, value in file.keys:
            self._see(self._history(file, kind, value), kind, companions, file.second)

    def admit_card(self, file: OrderFile) -> None:
        """The order was really charged to another card than the announced one: it counts under that one, too."""
        companions = _companions(file)
        charged = self._history(file, "card", file.seen_card)
        charged.record(file.second, file.own)
        self._see(charged, "card", companions, file.second)
        for kind, value in file.keys:
            if kind != "card":
                self._see(self._history(file, kind, value), kind, companions, file.second)

    def _see(self, history: History, kind: str, companions: Sequence[tuple[str, str]], second: int) -> None:
        for other, seen in companions:
            if other != kind:
                history.sight(other, seen, second)

    def _history(self, file: OrderFile, kind: str, value: str) -> History:
        return self.histories[history_key(file.store_id, kind, value)]

    def values(self, placed: OrderPlaced, file: OrderFile, rule_set: RuleSet) -> dict[str, Value]:
        """Everything that the rule set looks at, as it is for this order now; by name."""
        facts = facts_of(placed, rule_set.reference)
        histories = {
            kind: self.histories[history_key(file.store_id, kind, value)] for kind, value in file.signals.items()
        }
        values: dict[str, Value] = {}
        for operand in rule_set.operands:
            match operand:
                case Velocity(key, window, measure):
                    history = histories.get(key)
                    values[operand.name] = None if history is None else history.measure(measure, window, file.second)
                case Fact(fact):
                    values[operand.name] = facts[fact]
                case Present(what):
                    values[operand.name] = facts[what] is not None if what in facts else what in file.signals
        return values

    def open_review(self, review: Review) -> None:
        """A person is asked."""
        self.reviews[review.review_id] = review

    def reviews_of(self, order_id: str) -> list[Review]:
        """The reviews of an order, by cause."""
        return sorted(
            (review for review in self.reviews.values() if review.order_id == order_id), key=lambda review: review.cause
        )

    def review_of(self, order_id: str, cause: ReviewCause) -> Review | None:
        """The order's review for a cause."""
        return next((review for review in self.reviews_of(order_id) if review.cause is cause), None)


def _companions(file: OrderFile) -> list[tuple[str, str]]:
    """What of the order's keys is remembered under the others."""
    return [(kind, value) for kind, value in file.keys if kind in DISTINCT.values()]


def history_key(store_id: str, kind: str, value: str) -> str:
    """Under what a history is kept. Each store has its own: one store's buyers are not another's business."""
    return f"{store_id}:{kind}:{value}"


def own_counts(placed: OrderPlaced, rule_set: RuleSet) -> Counts:
    """What an order itself adds to the windows of its keys."""
    amount = rule_set.reference.convert(placed.totals.total, placed.placed_at.date())
    units = min(sum(line.quantity for line in placed.lines), _MOST_UNITS)
    return counts(orders=1, amount=amount or 0, units=units, unpriced=int(amount is None))


# So that the sum of many orders fits 64 bits.
_MOST_UNITS = 10**12
