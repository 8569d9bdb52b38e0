"""What support reads from its environment."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.settings import ServiceSettings


class CostSettings(BaseSettings):
    """Where the estimates of what a return costs are: FREEPORT_RETURN_COSTS names a file like return_costs.toml."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_", extra="ignore")

    return_costs: Path = Path(__file__).parent / "return_costs.toml"


class Settings(ServiceSettings):
    """Where support listens and stores; its policies have settings of their own, above."""
