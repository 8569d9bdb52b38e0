"""What inventory reads from its environment: nothing of its own."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Inventory's settings."""
