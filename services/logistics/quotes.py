"""From freight options to a signed quote, and the keys that it is verified with."""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.logistics.schemas import QuoteIn, QuoteKey, QuoteKeys, QuoteOption, QuoteOut
from services.logistics.usecases.quote_freight import DUTIES_NOTE, FreightOption, FreightRequest
from shared.ids import new_id
from shared.money import Money
from shared.quote import QuoteClaims, encode, lines_hash


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key in use, and the name that orders knows it by."""

    id: str
    key: Ed25519PrivateKey


def signed(
    body: QuoteIn,
    wanted: FreightRequest,
    options: Sequence[FreightOption],
    store_id: str,
    expires_at: datetime,
    key: SigningKey,
) -> QuoteOut:
    """The quote for the first option, bound to store, market, destination, lines and currency."""
    nothing = Money(0, body.currency)
    claims = QuoteClaims(
        quote_id=new_id("quo"),
        store=store_id,
        market=body.market,
        destination=wanted.destination,
        lines_hash=lines_hash(wanted.lines),
        currency=body.currency,
        shipping=options[0].price,
        duties=nothing,
        taxes=nothing,
        fees=nothing,
        incoterm=body.incoterm,
        service=body.service,
        expires_at=expires_at,
    )
    return QuoteOut(
        quote=encode(claims, key.key, key.id),
        quote_id=claims.quote_id,
        shipping=claims.shipping,
        duties=nothing,
        taxes=nothing,
        fees=nothing,
        incoterm=body.incoterm,
        service=body.service,
        expires_at=expires_at,
        options=[_option(option) for option in options],
        notes=[DUTIES_NOTE],
    )


def key_set(key: SigningKey) -> QuoteKeys:
    """The public half as a JSON Web Key Set (RFC 8037)."""
    x = urlsafe_b64encode(key.key.public_key().public_bytes_raw()).decode().rstrip("=")
    return QuoteKeys(keys=[QuoteKey(kid=key.id, x=x)])


def _option(option: FreightOption) -> QuoteOption:
    return QuoteOption(
        service=option.level,
        carrier=option.choice.offer.carrier,
        carrier_service=option.choice.offer.id,
        mode=option.choice.offer.mode,
        price=option.price,
        days=option.choice.days,
    )
