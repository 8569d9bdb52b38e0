"""The provider's settings, from the environment."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProviderSettings(BaseSettings):
    """`FREEPORT_PROVIDER_KEY` is the bearer key it accepts; webhooks go to `FREEPORT_PAYMENTS_URL`."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_")

    host: str = "127.0.0.1"
    port: int = 8090
    state_dir: Path
    payments_url: str
    provider_key: SecretStr
    provider_webhook_secret: SecretStr
    provider_public_url: str = ""
    """Where a buyer's browser reaches it; its own host and port when empty."""

    provider_webhooks: Literal["unasked", "all"] = "unasked"
    """`unasked`: only what no answer has told (3-D Secure done, expiry, late refunds); `all`: every change."""
    provider_slow_seconds: float = 2.0
    provider_hang_seconds: float = 60.0
    """How long it is silent where it is said never to answer in time."""
    provider_action_seconds: float = 900.0
    provider_authorisation_seconds: float = 7 * 24 * 3600.0
    provider_expiring_seconds: float = 60.0
    provider_refund_seconds: float = 1.0
    """How long a refund that is not decided at once takes."""

    @property
    def public_url(self) -> str:
        return (self.provider_public_url or f"http://{self.host}:{self.port}").rstrip("/")
