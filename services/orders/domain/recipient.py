"""Who gets the parcel. Personal data: it stays in this service, and is handed out only on the recipients scope."""

import hmac
import re
import unicodedata
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network

from shared.contracts.values import Destination, RiskSignals
from shared.postal import postal_area

_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A postal address as people write it; `country` is ISO 3166-1 alpha-2, `region` best an ISO 3166-2 code."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    region: str = ""
    postcode: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """The buyer, as far as the parcel needs it, and the store's own id of them."""

    name: str = ""
    email: str = ""
    phone: str = ""
    address: Address = Address()
    customer_id: str = ""

    @property
    def destination(self) -> Destination:
        """The part of the address that tax and customs need, and that may leave this service."""
        return destination_of(self.address.country, self.address.region, self.address.postcode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """From where the order was sent."""

    device_id: str = ""
    ip: str = ""


def destination_of(country: str, region: str, postcode: str) -> Destination:
    """A destination: the region only where it is a code (`CA` or `US-CA`, never a name that somebody typed)."""
    code = region.strip().upper().removeprefix(f"{country}-")
    return Destination(
        country=country,
        region=code if _SUBDIVISION.fullmatch(code) else "",
        postal_area=postal_area(country, postcode),
    )


def signals_of(recipient: Recipient, client: Client, card_fingerprint: str, key: bytes) -> RiskSignals:
    """Keyed hashes (HMAC-SHA256, hex) of who and what ordered, so that risk counts people without knowing them.

    Values are normalised first: spelling, case and spacing do not make another person. The card's fingerprint is the
    provider's and goes as it is.
    """

    def hashed(kind: str, value: str) -> str:
        return hmac.new(key, f"{kind}:{value}".encode(), sha256).hexdigest() if value else ""

    return RiskSignals(
        customer=hashed("customer", recipient.customer_id.strip()),
        email=hashed("email", _plain(recipient.email)),
        phone=hashed("phone", _phone(recipient.phone)),
        device=hashed("device", client.device_id.strip()),
        address=hashed("address", _address(recipient.address)),
        ip=hashed("ip", _network(client.ip)),
        card=card_fingerprint,
    )


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _phone(text: str) -> str:
    digits = "".join(char for char in unicodedata.normalize("NFKC", text) if char.isdecimal())
    return digits.removeprefix("00")


def _address(address: Address) -> str:
    # A household, however its street is punctuated. Without a street it is nobody's address.
    if not address.line1.strip():
        return ""
    parts = (address.line1, address.line2, address.city, address.postcode.replace(" ", ""), address.country)
    return "|".join(" ".join(re.sub(r"[^\w]+", " ", _plain(part)).split()) for part in parts)


def _network(text: str) -> str:
    """The IPv4 address, or the /64 that one household's IPv6 addresses change within."""
    if not text:
        return ""
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ip_network((address.packed, 64), strict=False))
    return str(address)
