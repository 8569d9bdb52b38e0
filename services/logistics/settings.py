"""What logistics reads from its environment."""

from functools import cache

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.logistics.domain.papers import Seller
from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Logistics' settings, prefix `FREEPORT_`."""

    orders_url: str = "http://127.0.0.1:8003"
    internal_key: SecretStr = SecretStr("")
    """The bearer key that may fetch names and addresses from orders."""
    carrier_url: str = "http://127.0.0.1:8091"
    carrier_key: SecretStr = SecretStr("")
    carrier_webhook_secret: SecretStr = SecretStr("")
    """The secrets of the carrier's webhooks; two, separated by a space, while they are exchanged."""
    quote_private_key: SecretStr = SecretStr("")
    """The Ed25519 key that signs quotes, 32 bytes in base64url; without it there are no quotes."""
    quote_key_id: str = "quotes"
    quote_minutes: int = 30
    pdf_font: str | None = None
    """A TrueType file for papers; without it the PDF core fonts show Latin letters only."""
    ship_from: str = "CN"
    """The country that quotes reckon from: of the warehouse nothing is known before the order."""


class SellerSettings(BaseSettings):
    """Who sends the goods, as invoices name it; prefix `FREEPORT_SELLER_`."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_SELLER_", extra="ignore")

    name: str = "Freeport Demo Goods Ltd."
    line1: str = "1 Harbour Road"
    city: str = "Shenzhen"
    postcode: str = "518000"
    country: str = "CN"
    tax_id: str = ""
    eori: str = ""


@cache
def seller() -> Seller:
    """The seller, read once a process."""
    given = SellerSettings()
    return Seller(
        name=given.name,
        line1=given.line1,
        city=given.city,
        postcode=given.postcode,
        country=given.country,
        tax_id=given.tax_id,
        eori=given.eori,
    )
