"""What the sandbox marketplace needs to know."""

from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Environment variables with the prefix `FREEPORT_`."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_", extra="ignore", hide_input_in_errors=True)

    host: str = "127.0.0.1"
    port: int = 8092
    state_dir: Path
    market_key: SecretStr
    market_webhook_secret: SecretStr
    orders_url: str = "http://127.0.0.1:8003"
    """Order notices go to `/v1/channels/{name}/notices` there."""
