"""What every service reads from its environment. Names begin with FREEPORT_."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Where a service listens, stores and publishes. Services extend it with what only they need."""

    model_config = SettingsConfigDict(env_prefix="FREEPORT_", extra="ignore")

    host: str = "127.0.0.1"
    port: int = 8000
    database_url: SecretStr
    owner_database_url: SecretStr | None = None  # needed by `migrate` only
    kafka: str = ""
    instance: str = ""  # a name that outlives this process among its service's replicas: see kafka.join
    pool_size: int = 8
    queue_capacity: int = 2000
    log_level: str = "INFO"
