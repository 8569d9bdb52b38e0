"""What inventory reads from its environment."""

from pathlib import Path

from shared.settings import ServiceSettings


class Settings(ServiceSettings):
    """`FREEPORT_CHANNELS_FILE`: the channels that are told their stock (`shared/channels/config.py`). Unless it is set, none is."""

    channels_file: Path | None = None
