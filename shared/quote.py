"""The landed-cost quote: a token that logistics signs and orders believes, so that neither asks the other in the flow of an order.

A JSON Web Token (RFC 7519) in compact form, signed with Ed25519 (`alg` EdDSA, RFC 8037), `typ` "freeport-quote+jwt" (RFC
8725 section 3.11), `kid` the name of the key. Rotation: orders learns the new public key first, then logistics signs with
it; the old one is taken away when its last quote has expired.

This module holds the format and the cryptography. Whether a quote fits an order, and whether it is still good, is for
orders to decide, by its database's clock.
"""

import json
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.contracts.values import Destination, Incoterm, ServiceLevel
from shared.errors import Kind, Refusal
from shared.money import Money

ALGORITHM = "EdDSA"
TYPE = "freeport-quote+jwt"
ISSUER = "freeport-logistics"
AUDIENCE = "freeport-orders"
MAX_TOKEN = 4096  # characters; a longer one is not ours
_DIGITS = 19  # no amount in minor units has more


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteClaims:
    """What logistics promises, and for exactly which order. The four amounts are in `currency`."""

    quote_id: str
    store: str
    market: str
    destination: Destination
    lines_hash: str
    currency: str
    shipping: Money
    duties: Money
    taxes: Money
    fees: Money
    incoterm: Incoterm
    service: ServiceLevel
    expires_at: datetime  # aware UTC, whole seconds on the wire


def lines_hash(lines: Iterable[tuple[str, int]]) -> str:
    """The fingerprint of what is bought: SHA-256 in hex over (sku, quantity), however the lines are split or sorted."""
    demand: Counter[str] = Counter()
    for sku, quantity in lines:
        demand[sku] += quantity
    canonical = json.dumps(sorted(demand.items()), ensure_ascii=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()


def encode(claims: QuoteClaims, key: Ed25519PrivateKey, key_id: str) -> str:
    """Sign a quote. Raises ValueError for an amount that is negative or in another currency."""
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "exp": int(claims.expires_at.timestamp()),
        "quote_id": claims.quote_id,
        "store": claims.store,
        "market": claims.market,
        "destination": {
            "country": claims.destination.country,
            "region": claims.destination.region,
            "postal_area": claims.destination.postal_area,
        },
        "lines_hash": claims.lines_hash,
        "currency": claims.currency,
        "shipping": _minor(claims.shipping, claims.currency),
        "duties": _minor(claims.duties, claims.currency),
        "taxes": _minor(claims.taxes, claims.currency),
        "fees": _minor(claims.fees, claims.currency),
        "incoterm": claims.incoterm.value,
        "service": claims.service.value,
    }
    headers = {"typ": TYPE, "kid": key_id}
    return jwt.encode(payload, key, algorithm=ALGORITHM, headers=headers)


def verify(token: str, keys: Mapping[str, Ed25519PublicKey]) -> QuoteClaims | Refusal:
    """The claims of a genuine token, or why it is none. `keys` maps key ids to keys, see `public_keys`.

    Codes: `quote.malformed`, `quote.algorithm`, `quote.type`, `quote.unknown_key`, `quote.signature`, `quote.issuer`,
    `quote.audience`, `quote.claims`. Neither bindings nor expiry are checked here.
    """
    if len(token) > MAX_TOKEN:
        return _no("quote.malformed", "the quote token is too long")
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        return _no("quote.malformed", "the quote is not a token")
    # Pinned before any key is chosen: the token has no say in how it is checked (RFC 8725 section 3.1).
    if header.get("alg") != ALGORITHM:
        return _no("quote.algorithm", f"a quote is signed with {ALGORITHM}")
    if header.get("typ") != TYPE:
        return _no("quote.type", f"a quote's type is {TYPE}")
    key = keys.get(str(header.get("kid", "")))
    if key is None:
        return _no("quote.unknown_key", "the quote is signed with a key that is not, or no longer, in use")
    return _claims(token, key)


def private_key(text: str) -> Ed25519PrivateKey:
    """The signing key from its setting: 32 bytes in base64url. Raises ValueError."""
    return Ed25519PrivateKey.from_private_bytes(_raw(text))


def public_keys(texts: Mapping[str, str]) -> dict[str, Ed25519PublicKey]:
    """The keys in use, by key id, from their setting: 32 bytes each in base64url. Raises ValueError."""
    return {key_id: Ed25519PublicKey.from_public_bytes(_raw(text)) for key_id, text in texts.items()}


def _claims(token: str, key: Ed25519PublicKey) -> QuoteClaims | Refusal:
    # Expiry is judged by the database's clock, where the order is decided; a process's clock may be an hour off.
    options: Any = {
        "verify_exp": False,
        "verify_iat": False,
        "verify_nbf": False,
        "require": ["exp", "iss", "aud"],
        "strict_aud": True,
    }
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], audience=AUDIENCE, issuer=ISSUER, options=options)
    except jwt.MissingRequiredClaimError as error:
        return _no("quote.claims", f"the quote lacks {error.claim}")
    except jwt.InvalidSignatureError:
        return _no("quote.signature", "the quote's signature is wrong")
    except jwt.InvalidIssuerError:
        return _no("quote.issuer", f"a quote is issued by {ISSUER}")
    except jwt.InvalidAudienceError:
        return _no("quote.audience", f"a quote is meant for {AUDIENCE}")
    except jwt.PyJWTError:
        return _no("quote.malformed", "the quote is not a token")
    try:
        return _parsed(claims)
    except (KeyError, TypeError, ValueError, OverflowError):
        return _no("quote.claims", "the quote's claims are not what a quote says")


def _parsed(claims: Mapping[str, Any]) -> QuoteClaims:
    currency = _text_of(claims, "currency")
    destination = cast("Mapping[str, Any]", claims["destination"])
    return QuoteClaims(
        quote_id=_text_of(claims, "quote_id"),
        store=_text_of(claims, "store"),
        market=_text_of(claims, "market"),
        destination=Destination(
            country=_text_of(destination, "country"),
            region=_text_of(destination, "region"),
            postal_area=_text_of(destination, "postal_area"),
        ),
        lines_hash=_text_of(claims, "lines_hash"),
        currency=currency,
        shipping=_money(claims, "shipping", currency),
        duties=_money(claims, "duties", currency),
        taxes=_money(claims, "taxes", currency),
        fees=_money(claims, "fees", currency),
        incoterm=Incoterm(claims["incoterm"]),
        service=ServiceLevel(claims["service"]),
        expires_at=datetime.fromtimestamp(int(claims["exp"]), UTC),
    )


def _money(claims: Mapping[str, Any], name: str, currency: str) -> Money:
    text = _text_of(claims, name)
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError(f"{name} is not an amount in minor units")
    return Money(int(text), currency)


def _text_of(claims: Mapping[str, Any], name: str) -> str:
    value = claims[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def _minor(money: Money, currency: str) -> str:
    if money.currency != currency or money.amount < 0:
        raise ValueError(f"a quote in {currency} cannot charge {money}")
    return str(money.amount)


def _no(code: str, detail: str) -> Refusal:
    return Refusal(code=code, detail=detail, kind=Kind.INVALID, clears_with="a new quote")


def _raw(text: str) -> bytes:
    text = text.strip()
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if len(raw) != 32:
        raise ValueError("an Ed25519 key is 32 bytes in base64url")
    return raw
