"""From a channel's configuration to its gateway."""

from collections.abc import Mapping

import httpx

from shared.channels.config import ChannelConfig, ChannelConfigError, SandboxConfig, ShopifyConfig, WebhookConfig
from shared.channels.port import ChannelGateway
from shared.channels.sandbox import SandboxGateway
from shared.channels.shopify import ShopifyGateway
from shared.channels.webhook import WebhookGateway


def open_gateway(config: ChannelConfig, http: httpx.AsyncClient, secrets: Mapping[str, str]) -> ChannelGateway:
    """The gateway of a channel; `secrets` is the environment. Raises ChannelConfigError where a credential is not set."""
    match config:
        case SandboxConfig():
            key = config.secret(config.key_env, secrets)
            return SandboxGateway(config, http, key, config.secret(config.webhook_secret_env, secrets))
        case WebhookConfig():
            return WebhookGateway(config, http, config.secret(config.webhook_secret_env, secrets))
        case ShopifyConfig():
            key = config.secret(config.key_env, secrets)
            return ShopifyGateway(config, http, key, config.secret(config.webhook_secret_env, secrets))
        case _:
            raise ChannelConfigError(f"channel {config.store}/{config.name}: no gateway of its kind is known")
