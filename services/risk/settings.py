"""What risk reads from its environment."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing beyond what every service has: rules are data, not settings."""
