"""What orders reads from its environment."""

from pydantic import Field, SecretStr, field_validator

from shared.quote import public_keys
from shared.settings import ServiceSettings

_LEAST_KEY_BYTES = 32


class Settings(ServiceSettings):
    """`FREEPORT_PII_HASH_KEY`: the key of the hashes that stand for people; 32 bytes or more, the same for ever.

    `FREEPORT_QUOTE_PUBLIC_KEYS`: the keys that quotes are believed from, a JSON object of key id to base64url.
    """

    pii_hash_key: SecretStr
    quote_public_keys: dict[str, str] = Field(default_factory=dict[str, str])

    @field_validator("pii_hash_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        # A short key could be found by hashing known e-mail addresses.
        if len(key.get_secret_value().encode()) < _LEAST_KEY_BYTES:
            raise ValueError(f"must have {_LEAST_KEY_BYTES} bytes or more")
        return key

    @field_validator("quote_public_keys")
    @classmethod
    def _are_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        public_keys(keys)
        return keys
