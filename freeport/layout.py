"""Where things are: the block of ports, the directory of the platform, the programs and the order they stop in."""

import os
from dataclasses import dataclass
from pathlib import Path

from freeport.processes import LOOPBACK

ROOT = Path(__file__).resolve().parent.parent
"""The checkout, where `services` and `shared` are imported from."""

SERVICES = ("catalog", "inventory", "orders", "logistics", "payments", "support", "risk")
SANDBOXES = ("provider", "carrier", "market")
DEFAULT_PORT_BASE = 8000

_OFFSETS = {
    **{service: number for number, service in enumerate(SERVICES, start=1)},
    "postgres": 54,
    "console": 80,
    "provider": 90,
    "carrier": 91,
    "market": 92,
    "kafka-controller": 93,
    "kafka": 94,
}


@dataclass(frozen=True, slots=True)
class Ports:
    """One block of ports: 8001 to 8094 with the base 8000."""

    base: int = DEFAULT_PORT_BASE

    def of(self, name: str, replica: int = 1) -> int:
        """The port of a program; a service's further replicas have theirs ten after each other."""
        return self.base + _OFFSETS[name] + 10 * (replica - 1)

    def url(self, name: str, replica: int = 1) -> str:
        return f"http://{LOOPBACK}:{self.of(name, replica)}"

    def probe(self, name: str) -> str:
        """The URL that answers 200 when the program serves; a sandbox has nothing to wait for beyond being alive."""
        return f"{self.url(name)}/{'healthz' if name in SANDBOXES else 'readyz'}"

    def all(self) -> dict[str, int]:
        """Every port of the block that is used, by the name of its user."""
        return {name: self.base + offset for name, offset in _OFFSETS.items()}


@dataclass(frozen=True, slots=True)
class Home:
    """The directory in which everything of one platform lives."""

    directory: Path

    @classmethod
    def default(cls) -> "Home":
        """`FREEPORT_HOME`, else `.freeport` in the checkout."""
        chosen = os.environ.get("FREEPORT_HOME")
        return cls(Path(chosen).absolute() if chosen else ROOT / ".freeport")

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def lock(self) -> Path:
        """Locked by the supervisor for as long as it lives, so that a kill -9 leaves no trace of ownership."""
        return self.directory / "lock"

    @property
    def secrets(self) -> Path:
        return self.directory / "secrets.json"

    @property
    def migrated(self) -> Path:
        return self.directory / "migrated.json"

    @property
    def postgres(self) -> Path:
        return self.directory / "postgres"

    @property
    def kafka(self) -> Path:
        return self.directory / "kafka"

    def log(self, name: str) -> Path:
        return self.directory / "logs" / f"{name}.log"

    def sandbox(self, name: str) -> Path:
        """The durable book of a sandbox."""
        return self.directory / "sandbox" / name


def is_built(service: str, root: Path = ROOT) -> bool:
    """Whether the service's code is there; one that is not is shown as "not built" and left out."""
    return (root / "services" / service / "main.py").exists()


def sandbox_is_built(name: str, root: Path = ROOT) -> bool:
    sandbox = root / "freeport" / "sandbox"
    return (sandbox / f"{name}.py").exists() or (sandbox / name / "__main__.py").exists()
