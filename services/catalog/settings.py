"""What catalog reads from its environment: nothing of its own."""

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """Catalog's settings."""
