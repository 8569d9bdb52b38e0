"""What orders reads from its environment."""

from datetime import timedelta
from functools import cache
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.orders.domain.patience import USUAL, Patience
from shared.quote import public_keys
from shared.settings import ServiceSettings

_LEAST_KEY_BYTES = 32
_LONGEST_S = 7 * 24 * 3600
Seconds = Annotated[float, Field(gt=0, le=_LONGEST_S)]


class PatienceSettings(BaseSettings):
    """How long orders wait for an answer, in seconds. The later times count from the question.

    `FREEPORT_ORDERS_ASK_AFTER_S`, `…_GIVE_UP_AFTER_S`, `…_ALARM_AFTER_S`: inventory, risk and logistics. `…_PAYMENT_ASK_AFTER_S`,
    `…_PAYMENT_ALARM_AFTER_S`: payments. What they mean: `domain/patience.py`.
    """

    model_config = SettingsConfigDict(env_prefix="FREEPORT_", extra="ignore")

    orders_ask_after_s: Seconds = USUAL.ask.total_seconds()
    orders_give_up_after_s: Seconds = USUAL.give_up.total_seconds()
    orders_alarm_after_s: Seconds = USUAL.alarm.total_seconds()
    orders_payment_ask_after_s: Seconds = USUAL.payment_ask.total_seconds()
    orders_payment_alarm_after_s: Seconds = USUAL.payment_alarm.total_seconds()


class Settings(ServiceSettings, PatienceSettings):
    """`FREEPORT_PII_HASH_KEY`: the key of the hashes that stand for people; 32 bytes or more, the same for ever.

    `FREEPORT_ORDERS_WEBHOOKS_ALLOW_LOCAL`: webhooks may go to this machine, without TLS. For demos and tests: never where others
    have keys, for they could call what listens here.

    `FREEPORT_QUOTE_PUBLIC_KEYS`: the keys that quotes are believed from, a JSON object of key id to base64url.

    Patience is read here as well, so that what is no time ends the start and not the first message.
    """

    pii_hash_key: SecretStr
    orders_webhooks_allow_local: bool = False
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


@cache
def patience() -> Patience:
    """How long orders wait, read once a process."""
    given = PatienceSettings()
    return Patience(
        ask=timedelta(seconds=given.orders_ask_after_s),
        give_up=timedelta(seconds=given.orders_give_up_after_s),
        alarm=timedelta(seconds=given.orders_alarm_after_s),
        payment_ask=timedelta(seconds=given.orders_payment_ask_after_s),
        payment_alarm=timedelta(seconds=given.orders_payment_alarm_after_s),
    )
