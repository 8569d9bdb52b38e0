"""What is looked at before anything is started; each finding is a `StartupError` that says what, why and how to fix it."""

import shutil

from freeport.errors import StartupError
from freeport.layout import Home, Ports
from freeport.processes import port_holder, port_is_free

DISK_NEEDED = 2 * 1024**3  # bytes: jars, a database cluster with its write-ahead log, Kafka's segments


def require_disk(home: Home, *, free: int | None = None) -> None:
    """`free` (bytes) is what the disk has; asked from the system unless given."""
    available = shutil.disk_usage(home.directory).free if free is None else free
    if available < DISK_NEEDED:
        raise StartupError(
            "The disk is nearly full",
            why=f"{home.directory} has {available / 1024**3:.1f} GiB left, the platform needs {DISK_NEEDED / 1024**3:.0f} GiB",
            fix="Free some space, or keep the platform elsewhere: FREEPORT_HOME=/path freeport up",
        )


def require_ports(ports: Ports) -> None:
    taken = {name: port for name, port in ports.all().items() if not port_is_free(port)}
    if not taken:
        return
    held = [f"{port} ({name}) is held by {port_holder(port) or 'another program'}" for name, port in taken.items()]
    raise StartupError(
        "A port is taken" if len(taken) == 1 else "Ports are taken",
        why="; ".join(held),
        fix=f"Stop that program, or use another block of ports: freeport up --port-base {ports.base + 10000}",
    )
