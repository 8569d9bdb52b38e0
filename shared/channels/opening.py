"""From a channel's configuration to its gateway."""

from collections.abc import Mapping

import httpx

from shared.channels.config import ChannelConfig
from shared.channels.port import ChannelGateway
from shared.channels.sandbox import SandboxGateway


def open_gateway(config: ChannelConfig, http: httpx.AsyncClient, secrets: Mapping[str, str]) -> ChannelGateway:
    """The gateway of a channel; `secrets` is the environment. Raises ChannelConfigError where a credential is not set."""
    key = config.secret(config.key_env, secrets)
    webhook = config.secret(config.webhook_secret_env, secrets)
    return SandboxGateway(config, http, key, webhook)
