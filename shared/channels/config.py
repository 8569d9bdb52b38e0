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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, SecretStr, ValidationError, field_validator

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,59}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]*$")]


_KINDS = ("sandbox", "webhook", "shopify")


class ChannelConfigError(ValueError):
    """The file is not right; the message names file, channel and key, and no value."""


class ChannelConfig(BaseModel):
    """How one channel of one store is reached, and what it bears: what all kinds have. Each kind is a class below.

    `objective_s`: within so many seconds a change shall be acknowledged; minutes where the channel works by feeds.
    `ship_by_h`: hours after an order until tracking is wanted, where the channel does not tell it by order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[str, Field(pattern=r"^str_[A-Za-z0-9_]{1,60}$")]
    name: Name
    base_url: Annotated[str, Field(max_length=2048)]
    market: Annotated[str, Field(min_length=1, max_length=20)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    fulfilment: Literal["own", "channel"] = "own"
    calls_per_s: Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)] = 10.0
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 100
    objective_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 5.0
    ship_by_h: Annotated[float, Field(gt=0, le=24 * 90, allow_inf_nan=False)] = 48.0

    @field_validator("base_url")
    @classmethod
    def _is_a_plain_address(cls, url: str) -> str:
        if not url.startswith(("https://", "http://")) or any(sign in url for sign in "@?# "):
            raise ValueError("must be an http(s) address without user, query or fragment")
        return url.rstrip("/")

    @property
    def variables(self) -> frozenset[str]:
        """The variables of the environment that hold its credentials: every field that ends in `_env` names one."""
        return frozenset(str(getattr(self, field)) for field in type(self).model_fields if field.endswith("_env"))

    def secret(self, variable: str, environment: Mapping[str, str]) -> SecretStr:
        """The value of a credential. Raises ChannelConfigError where the variable is not set."""
        value = environment.get(variable, "")
        if not value:
            raise ChannelConfigError(f"channel {self.store}/{self.name}: the variable {variable} is not set")
        return SecretStr(value)


class SandboxConfig(ChannelConfig):
    """A channel of the sandbox marketplace. One secret signs the notices of all channels there."""

    kind: Literal["sandbox"]
    key_env: Variable
    webhook_secret_env: Variable


class WebhookConfig(ChannelConfig):
    """A seller's own integration at `base_url`. The secret is this channel's alone: it says whose a message is."""

    kind: Literal["webhook"]
    webhook_secret_env: Variable


class ShopifyConfig(ChannelConfig):
    """A Shopify shop at `base_url`; `location_id` is the location whose stock is ours. Setting a batch's stock takes two calls."""

    kind: Literal["shopify"]
    location_id: Annotated[str, Field(pattern=r"^gid://shopify/Location/\d{1,20}$")]
    batch_size: Annotated[int, Field(ge=1, le=50)] = 50
    key_env: Variable
    webhook_secret_env: Variable


AnyChannel = Annotated[SandboxConfig | WebhookConfig | ShopifyConfig, Discriminator("kind")]


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
    _each_stands_once(path, channels)
    return channels


def _each_stands_once(path: Path, channels: Sequence[AnyChannel]) -> None:
    seen: set[tuple[str, str]] = set()
    secrets: set[str] = set()
    for channel in channels:
        named = f"{path}: channel {channel.store}/{channel.name}"
        if (channel.store, channel.name) in seen:
            raise ChannelConfigError(f"{named}: stands there twice")
        seen.add((channel.store, channel.name))
        if isinstance(channel, SandboxConfig):
            continue
        if channel.webhook_secret_env in secrets:  # a notice names no channel, so its signature must
            raise ChannelConfigError(f"{named} webhook_secret_env: is another channel's, too")
        secrets.add(channel.webhook_secret_env)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    channel: tuple[AnyChannel, ...] = ()


def _words(error: ValidationError) -> str:
    # Places and reasons, never the values: who wrote a secret into the file shall not find it in a log.
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(_said(each["loc"], each["type"], each["msg"]) for each in found)


def _said(steps: tuple[int | str, ...], error: str, message: str) -> str:
    # In a channel pydantic counts the kind as a step, and says of a missing or unknown one only where the channel is.
    keys = [
        f"no. {step + 1}" if isinstance(step, int) else step
        for at, step in enumerate(steps)
        if at != 2 or step not in _KINDS
    ]
    if error in ("union_tag_invalid", "union_tag_not_found"):
        return f"{' '.join([*keys, 'kind'])}: must be one of {', '.join(_KINDS)}"
    return f"{' '.join(keys)}: {message}"
