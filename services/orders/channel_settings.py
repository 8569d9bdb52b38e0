"""Which channels this installation talks with: from the file that FREEPORT_CHANNELS_FILE names. Without it there are none."""

import os
from functools import cache
from pathlib import Path

from shared.channels.config import ChannelConfig, load

FILE = "FREEPORT_CHANNELS_FILE"


@cache
def configured() -> tuple[ChannelConfig, ...]:
    """The channels of the file, read once a process. Raises ChannelConfigError."""
    path = os.environ.get(FILE, "")
    return load(Path(path)) if path else ()


@cache
def connected() -> frozenset[tuple[str, str]]:
    """The same by store and name."""
    return frozenset((config.store, config.name) for config in configured())
