"""What every service reads from its environment. Names begin with FREEPORT_."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Where a service listens, stores and publishes. Services extend it with what only they need."""

    model_config = SettingsConfigDict(
        env_prefix="FREEPORT_",
        extra="ignore",
        hide_input_in_errors=True,  # one that is missing would show all the others, with the database's password
    )

    host: str = "127.0.0.1"
    port: int = 8000
    database_url: SecretStr
    owner_database_url: SecretStr | None = None  # needed by `migrate` only
    kafka: str = ""
    instance: str = ""  # a name that outlives this process among its service's replicas: see kafka.join
    pool_size: int = 7  # connections for requests
    worker_pool_size: int = 5  # and for relay, consumer and the other loops, so that neither takes the other's
    queue_capacity: int = 2000  # commands that may wait for a transaction
    request_capacity: int = 4000  # requests that may be answered at the same time
    stuck_after_s: float = 60.0  # a loop that has work and does nothing ends the process
    loop_stuck_after_s: float = 30.0  # and so does an event loop that does not turn
    shutdown_s: float = 9.0  # from SIGTERM to the end, whatever is frozen; the supervisor kills after 10
    log_level: str = "INFO"
