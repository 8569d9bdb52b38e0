"""Where a cluster's servers are: the ports before and behind their proxies, and the small disks that can fill."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from freeport.embedded.kafka import EmbeddedKafka, quorum
from freeport.layout import Home, Ports
from freeport.processes import LOOPBACK
from tests.chaos.fault import Feature

MIB = 1024**2
POSTGRES_SETTINGS = {
    # Nothing here turns off the machine: what fsync guards against cannot happen, and the disk is not what is tested.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
}
# What is written ahead must fit beside seven databases.
SMALL_POSTGRES_SETTINGS = {"max_wal_size": "96MB", "min_wal_size": "32MB"}
SMALL_DATABASE_DISK = 360 * MIB
SMALL_BROKER_DISK = 64 * MIB
_BASE_OFFSET_OF_POSTGRES = 55


class NoSmallDisk(Exception):
    """A small file system cannot be mounted here."""


@dataclass(frozen=True, slots=True)
class BrokerPlace:
    """One broker's ports: where clients are sent (its proxy), where it listens to that, past it, and its controller."""

    node: int
    public: int
    behind: int
    direct: int
    controller: int


def postgres_behind(ports: Ports) -> int:
    """The port of the database server; services are given its proxy's, `ports.of("postgres")`."""
    return ports.base + _BASE_OFFSET_OF_POSTGRES


def broker_places(ports: Ports, features: frozenset[Feature]) -> list[BrokerPlace]:
    count = 3 if Feature.THREE_BROKERS in features else 1
    return [
        BrokerPlace(
            node,
            ports.of("kafka") if node == 1 else ports.base + 60 + node,
            ports.base + 64 + node,
            ports.base + 68 + node,
            ports.base + 72 + node,
        )
        for node in range(1, count + 1)
    ]


def make_brokers(places: list[BrokerPlace], home: Home) -> Mapping[str, EmbeddedKafka]:
    """The brokers of one cluster by name, not started: `kafka-1` and so on."""
    cluster = quorum([place.controller for place in places])
    return {
        f"kafka-{place.node}": EmbeddedKafka(
            broker_home(home, place.node),
            port=place.behind,
            advertised_port=place.public,
            direct_port=place.direct,
            quorum=cluster if len(places) > 1 else None,
            controller_port=place.controller,
            node=place.node,
            log=home.log(f"kafka-{place.node}"),
            jvm=("-XX:TieredStopAtLevel=1",),
        )
        for place in places
    }


def broker_home(home: Home, node: int) -> Path:
    return home.kafka if node == 1 else home.directory / f"kafka-{node}"


def addresses(ports: list[int]) -> str:
    """Bootstrap servers."""
    return ",".join(f"{LOOPBACK}:{port}" for port in ports)


# ── Small disks ───────────────────────────────────────────────────────────────────────────────────────────────────────

_MNT_DETACH = 2
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A file system in memory of a fixed size, and the ballast that fills it."""

    path: Path

    @property
    def _ballast(self) -> Path:
        return self.path / "ballast"

    def fill(self) -> int:
        """Take all that is free; how many bytes that was."""
        taken = 0
        block = bytes(64 * 1024)
        with self._ballast.open("ab", buffering=0) as ballast, contextlib.suppress(OSError):
            while written := ballast.write(block):
                taken += written
        return taken

    def free(self) -> int:
        """Bytes that are free."""
        state = os.statvfs(self.path)
        return state.f_bavail * state.f_frsize

    def empty(self) -> None:
        """Throw the ballast away."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size: int) -> Generator[SmallDisk]:
    """A tmpfs of `size` bytes at the path while the block lasts. `NoSmallDisk` without the privilege to mount one."""
    path.mkdir(parents=True, exist_ok=True)
    if _libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, f"size={size},mode=0755".encode()):
        why = errno.errorcode.get(ctypes.get_errno(), "?")
        raise NoSmallDisk(f"a file system of {size // MIB} MiB cannot be mounted at {path} ({why}): that needs root")
    try:
        yield SmallDisk(path)
    finally:
        # Detached, not waited for: a process that is still ending must not leave it behind.
        _libc.umount2(os.fsencode(path), _MNT_DETACH)
