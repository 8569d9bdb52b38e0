"""What payments reads from its environment."""

from pydantic import SecretStr

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """`provider_timeout_seconds` is how long an answer may take before its outcome counts as unknown."""

    provider_url: str = "http://127.0.0.1:8090"
    provider_key: SecretStr
    provider_webhook_secret: SecretStr
    provider_webhook_secret_before: SecretStr | None = None
    """The secret that is being replaced, while both are in use."""
    provider_timeout_seconds: float = 4.0
