"""Carriers' services, and the choice among them: pure, and every candidate that is not taken says why."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.logistics.domain.goods import Goods
from services.logistics.domain.rules import Limit
from shared.contracts.logistics import Mode, TrackingStatus
from shared.contracts.values import Reason, ServiceLevel
from shared.money import Money, from_decimal

_SPEED = {ServiceLevel.ECONOMY: 0, ServiceLevel.STANDARD: 1, ServiceLevel.EXPRESS: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """Where a service goes and what it costs there. An empty `countries` is everywhere else."""

    countries: frozenset[str]
    steps: tuple[tuple[int, int], ...]  # (up to grams, minor units), ascending
    per_kg: int | None  # for each kilogram begun beyond the last step
    days: tuple[int, int]

    def price(self, grams: int) -> int | None:
        """Minor units for a parcel of that weight, None where the tariff has no answer."""
        for up_to, price in self.steps:
            if grams <= up_to:
                return price
        if self.per_kg is None:
            return None
        heaviest, price = self.steps[-1]
        return price + self.per_kg * -((heaviest - grams) // 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A service of a carrier."""

    id: str
    carrier: str
    mode: Mode
    level: ServiceLevel
    currency: str
    zones: tuple[Zone, ...]
    max_grams: int
    max_value: int | None = None  # minor units of `currency`; dearer goods do not travel with it

    def zone(self, country: str) -> Zone | None:
        """The zone of a country, the named one before everywhere else."""
        named = next((zone for zone in self.zones if country in zone.countries), None)
        return named or next((zone for zone in self.zones if not zone.countries), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """A parcel to be: what is in it, from where to where, how fast, and what it is worth."""

    goods: tuple[Goods, ...]
    gross_grams: int
    origin: str  # the warehouse's country; empty while unknown, which is abroad
    destination: str
    level: ServiceLevel
    value: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The service that takes the parcel, and why the others were not taken."""

    offer: Offer
    cost: Money
    days: tuple[int, int]
    refused: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class NoneFits:
    """No service takes the parcel."""

    refused: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierBook:
    """Every service of every carrier, planning rates of exchange, and the carriers' words for scans."""

    offers: tuple[Offer, ...]
    rates: Mapping[str, Decimal]  # units for one of the base currency
    packaging_grams: int
    tracking: Mapping[str, Mapping[str, TrackingStatus]]  # carrier, its word

    def modes_to(self, country: str) -> frozenset[Mode]:
        """The modes that go to a country from abroad."""
        return frozenset(offer.mode for offer in self.offers if offer.mode is not Mode.DOMESTIC and offer.zone(country))

    def status(self, carrier: str, word: str) -> TrackingStatus:
        """What a carrier's word means; `unknown` for one that is not in its table."""
        return self.tracking.get(carrier, {}).get(word, TrackingStatus.UNKNOWN)

    def convert(self, amount: Money, currency: str) -> Money | None:
        """The amount in another currency at the planning rates, None where one of the two has none."""
        if amount.currency == currency:
            return amount
        source, target = self.rates.get(amount.currency), self.rates.get(currency)
        if source is None or target is None:
            return None
        return from_decimal(amount.decimal() / source * target, currency)

    def gross(self, goods: Iterable[Goods]) -> int:
        """The weight of a parcel with these goods, packaging included, in grams."""
        return sum(each.weight_grams for each in goods) + self.packaging_grams


def choose_service(load: Load, book: CarrierBook, limits: Sequence[Limit]) -> Choice | NoneFits:
    """The cheapest service that is fast enough and takes the parcel; at equal cost the faster, then by id."""
    refused: list[Reason] = []
    fitting: list[Choice] = []
    for offer in book.offers:
        answer = _judge(offer, load, book, limits)
        if isinstance(answer, Reason):
            refused.append(answer)
        else:
            fitting.append(answer)
    if not fitting:
        return NoneFits(tuple(refused))
    best = min(fitting, key=lambda each: (each.cost.amount, each.days[1], each.offer.id))
    dearer = [
        Reason(code="service.dearer", message=f"{each.offer.id} costs {each.cost}", subject=each.offer.id)
        for each in fitting
        if each is not best
    ]
    return Choice(offer=best.offer, cost=best.cost, days=best.days, refused=(*refused, *dearer))


def _judge(offer: Offer, load: Load, book: CarrierBook, limits: Sequence[Limit]) -> Choice | Reason:
    """The offer's price for the parcel, or why it does not take it."""
    zone = offer.zone(load.destination)
    at_home = load.origin == load.destination
    if zone is None or at_home != (offer.mode is Mode.DOMESTIC):
        return _no(offer, "lane", f"does not go from {load.origin or 'abroad'} to {load.destination}")
    if _SPEED[offer.level] < _SPEED[load.level]:
        return _no(offer, "slow", f"is {offer.level}, and {load.level} was promised")
    price = zone.price(load.gross_grams)
    if load.gross_grams > offer.max_grams or price is None:
        return _no(offer, "weight", f"does not take {load.gross_grams} g")
    if offer.max_value is not None:
        value = book.convert(load.value, offer.currency)
        if value is None or value.amount > offer.max_value:
            return _no(offer, "value", f"does not take goods worth {load.value}")
    for limit in limits:
        if limit.mode is offer.mode and (why := limit.exceeded_by(load.goods)):
            return _no(offer, "goods", why, limit)
    return Choice(offer=offer, cost=Money(price, offer.currency), days=zone.days)


def _no(offer: Offer, why: str, words: str, limit: Limit | None = None) -> Reason:
    return Reason(
        code=f"service.{why}",
        message=f"{offer.id} {words}" if limit is None else f"{offer.id}: {words}",
        rule=limit.id if limit else "",
        source=limit.source if limit else "",
        subject=offer.id,
    )
