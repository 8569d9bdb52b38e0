"""What the sandbox carrier needs to know."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

_HOUR_S = 3600.0


class Settings(BaseSettings):
    """Environment variables with the prefix `FREEPORT_`."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8091
    state_dir: Path
    carrier_key: SecretStr
    carrier_webhook_secret: SecretStr
    logistics_url: str = "http://127.0.0.1:8004"
    carrier_speed: float | None = Field(default=None, gt=0)
    """Hours of a parcel's journey that pass in one second; unset, an hour takes an hour."""

    @property
    def hour_s(self) -> float:
        """How many seconds an hour of a journey takes."""
        return _HOUR_S if self.carrier_speed is None else 1.0 / self.carrier_speed
