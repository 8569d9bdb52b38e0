"""The channels of all stores, from one TOML file. It holds no secret: credentials name variables of the environment.

[[channel]]
store = "str_demo"
name = "bazaar"
kind = "sandbox"
base_url = "http://127.0.0.1:8092/channels/bazaar"
market = "GB"
country = "GB"
currency = "GBP"
key_env = "BAZAAR_KEY"
webhook_secret_env = "BAZAAR_WEBHOOK_SECRET"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


class ChannelConfigError(ValueError):
    """The file is not right; the message names file, channel and key, and no value."""


class ChannelConfig(BaseModel):
    """How one channel of one store is reached, and what it bears.

    `objective_s`: within so many seconds a change shall be acknowledged; minutes where the channel works by feeds.
    `ship_by_h`: hours after an order until tracking is wanted, where the channel does not tell it by order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[str, Field(pattern=r"^str_[A-Za-z0-9_]{1,60}$")]
    name: Name
    kind: Literal["sandbox"]
    base_url: Annotated[str, Field(max_length=2048)]
    market: Annotated[str, Field(min_length=1, max_length=20)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    fulfilment: Literal["own", "channel"] = "own"
    calls_per_s: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 10.0
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 100
    objective_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 5.0
    ship_by_h: Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)] = 48.0
    key_env: Variable
    webhook_secret_env: Variable

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")) or any(sign in url for sign in "@?# "):
            raise ValueError("must be an http(s) address without user, query or fragment")
        return url.rstrip("/")

    def secret(self, variable: str, environment: Mapping[str, str]) -> SecretStr:
        """The value of a credential. Raises ChannelConfigError where the variable is not set."""
        value = environment.get(variable, "")
        if not value:
            raise ChannelConfigError(f"channel {self.store}/{self.name}: the variable {variable} is not set")
        return SecretStr(value)


def load(path: Path) -> tuple[ChannelConfig, ...]:
    """The channels of the file, in its order. Raises ChannelConfigError; a name is a store's own and stands once."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ChannelConfigError(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ChannelConfigError(f"{path}: is not TOML: {error}") from None
    try:
        channels = _File.model_validate(raw).channel
    except ValidationError as error:
        raise ChannelConfigError(f"{path}: {_words(error)}") from None
    seen: set[tuple[str, str]] = set()
    for channel in channels:
        if (channel.store, channel.name) in seen:
            raise ChannelConfigError(f"{path}: channel {channel.store}/{channel.name}: stands there twice")
        seen.add((channel.store, channel.name))
    return channels


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: tuple[ChannelConfig, ...] = ()


def _words(error: ValidationError) -> str:
    # Places and reasons, never the values: who wrote a secret into the file shall not find it in a log.
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_place(each['loc'])}: {each['msg']}" for each in found)


def _place(steps: tuple[int | str, ...]) -> str:
    return " ".join(f"no. {step + 1}" if isinstance(step, int) else step for step in steps)
