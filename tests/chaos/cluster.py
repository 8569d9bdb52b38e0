"""The cluster that faults strike: PostgreSQL, Kafka, two replicas of every service, the sandboxes, all as processes.

    async with Cluster.running(directory, port_base) as cluster:
        cluster.replicas("orders")                # both processes of a service: Process
        cluster.process("inventory-2")            # any process by its name: orders-1 … risk-2, postgres, kafka-1, provider, carrier
        cluster.postgres, cluster.brokers         # the database server, the brokers (one or three)
        cluster.admin_url                         # the superuser's URL; goes straight to the server, past any proxy
        cluster.database_url("payments")          # a service's database as its owner role, likewise
        await cluster.fetch("payments", sql)      # rows of it, and `count`, `counts` and `unpublished`
        cluster.bootstrap                         # Kafka, as services are given it: through the proxies
        cluster.direct                            # Kafka, past them
        cluster.proxies["postgres"]               # what stands between the services and a server, by the server's name: Proxy
        cluster.disks["kafka-1"]                  # the small disk of a server, where the cluster was given one: SmallDisk
        cluster.load                              # the clients: `load.place(bank="3ds")` is part of the history that is judged
        cluster.platform                          # the same cluster for `freeport.audit`, `freeport.demo.World` and the like

A process that dies is started again after a short pause, as the supervisor of an embedded platform does it.
"""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import httpx
import orjson

from freeport.databases import prepare_databases
from freeport.embedded.postgres import EmbeddedPostgres
from freeport.environment import sandbox_program, service_database, service_program
from freeport.health import answers, client
from freeport.layout import SANDBOXES, SERVICES, Home, Ports
from freeport.platform import Platform
from freeport.processes import Program
from freeport.secrets import Secrets, load_or_create
from freeport.state import Condition, ProcessId
from freeport.supervisor import Backoff, Keeper, Part, ProgramPart
from freeport.topics import EMBEDDED_PARTITIONS, create_topics
from freeport.up import together
from shared.contracts.topics import TOPICS
from shared.database import single_connection
from tests.chaos import servers
from tests.chaos.fault import Feature
from tests.chaos.proxy import Proxies, Proxy
from tests.chaos.servers import SmallDisk, small_disk
from tests.chaos.waiting import until

if TYPE_CHECKING:
    from tests.chaos.load import Load

REPLICAS = 2
CONSUMING = tuple(service for service in SERVICES if service != "catalog")
"""The services that read anything."""
START_WITHIN_S = 120.0
STOP_WITHIN_S = 12.0  # a service drains for ten seconds at most
_ANSWERS_WITHIN_S = 90.0  # longer than the longest that a database is away
_BACKOFF = Backoff(first=0.2, longest=2.0, steady=5.0)


class ReplicaPart(ProgramPart):
    """A program that may be given more environment for its next start, and for that one only."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, patience=STOP_WITHIN_S)
        self._next: Mapping[str, str] = {}

    def arm(self, environment: Mapping[str, str]) -> None:
        self._next = dict(environment)

    def start(self) -> None:
        plain, extra = self.program, self._next
        self._next = {}
        self.program = replace(plain, env={**plain.env, **extra})
        try:
            super().start()
        finally:
            self.program = plain


@dataclass(slots=True, eq=False)
class Process:
    """One process of the cluster. `pid` changes when it is started again; `restarts` counts that."""

    name: str
    part: Part
    keeper: Keeper
    log: Path
    url: str = ""
    probe: str = ""
    """Answers 200 when it serves; without one it serves as soon as it is started."""

    @property
    def service(self) -> str:
        """`orders` of `orders-2`."""
        return self.name.rpartition("-")[0] or self.name

    @property
    def pid(self) -> int | None:
        """None while it is down."""
        return None if self.process is None else self.process.pid

    @property
    def process(self) -> ProcessId | None:
        return self.keeper.state.process if self.part.exit_code() is None else None

    @property
    def restarts(self) -> int:
        return self.keeper.state.restarts

    def kill(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Send the signal; the process id that it went to. RuntimeError when the process is down."""
        pid = self.pid
        if pid is None:
            raise RuntimeError(f"{self.name} does not run")
        os.kill(pid, how)
        return pid

    def freeze(self) -> int:
        """SIGSTOP."""
        return self.kill(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT; nothing when the process is gone by now."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)

    async def restart(
        self, environment: Mapping[str, str] | None = None, *, how: signal.Signals = signal.SIGTERM
    ) -> int:
        """End it, and wait until its successor serves, which has the environment on top of the usual; the new process id."""
        if environment is not None:
            if not isinstance(self.part, ReplicaPart):
                raise TypeError(f"{self.name} takes no environment")
            self.part.arm(environment)
        before = self.kill(how)
        try:
            return await self.until_serving(after=before, within=START_WITHIN_S)
        except TimeoutError:
            if self.pid != before:
                raise
            self.kill()
            return await self.until_serving(after=before)

    async def take_down(self, how: signal.Signals = signal.SIGKILL) -> int:
        """End it by the signal and keep it down until `bring_up`; the process id that died."""
        pid = self.kill(how)
        await self.keeper.end()
        return pid

    async def bring_up(self) -> None:
        """Start what was taken down. Raises `StartupError` when it does not come up; it stays down."""
        self.keeper = Keeper(self.part, lambda _: None, _BACKOFF)
        await self.keeper.begin()

    async def until_serving(self, *, after: int | None = None, within: float = START_WITHIN_S) -> int:
        """Until it serves, in another process than `after`; its process id. TimeoutError."""
        async with client() as http:
            await until(lambda: self._serves(http, after), bool, f"{self.name} to serve (its log: {self.log})", within)
        return self.pid or 0

    async def _serves(self, http: httpx.AsyncClient, after: int | None) -> bool:
        pid, running = self.pid, self.keeper.state.condition is Condition.RUNNING
        return pid not in (None, after) and running and (not self.probe or await answers(http, self.probe))

    def mark(self) -> int:
        """The end of its log now, for `said`."""
        return self.log.stat().st_size if self.log.exists() else 0

    def said(self, since: int = 0, **fields: Any) -> list[dict[str, Any]]:
        """What it has logged since the mark, as far as it has these fields: `said(mark, event="relay.owner")`."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(since)
            lines = [_record(line) for line in log if line.startswith(b"{")]
        return [line for line in lines if all(line.get(name) == value for name, value in fields.items())]


class ClusterPlatform(Platform):
    """The cluster as the audit and the demo know a platform; a service's address is that of its first replica."""

    @property
    def urls(self) -> dict[str, str]:
        return {name: self.ports.url(name) for name in (*SERVICES, *SANDBOXES)}


class Cluster:
    """See the module's page."""

    def __init__(self, directory: Path, port_base: int, features: frozenset[Feature]) -> None:
        self.home = Home(directory)
        self.ports = Ports(port_base)
        self.features = features
        self.proxies: dict[str, Proxy] = {}
        self.disks: dict[str, SmallDisk] = {}
        self._places = servers.broker_places(self.ports, features)
        self.load: Load | None = None
        self._processes: dict[str, Process] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self.secrets: Secrets = load_or_create(self.home.secrets)

    @classmethod
    @asynccontextmanager
    async def running(
        cls, directory: Path, port_base: int, features: frozenset[Feature] = frozenset({Feature.ONE_BROKER})
    ) -> "AsyncGenerator[Cluster]":
        """Start everything; stop it at the end, whatever happens.

        `StartupError` when it does not come up, `NoSmallDisk` when it is to have one and may not.
        """
        cluster = cls(directory, port_base, features)
        async with AsyncExitStack() as stack:
            if Feature.SMALL_DATABASE_DISK in features:
                disk = small_disk(cluster.home.postgres, servers.SMALL_DATABASE_DISK)
                cluster.disks["postgres"] = stack.enter_context(disk)
            if Feature.SMALL_BROKER_DISK in features:
                disk = small_disk(cluster.home.kafka, servers.SMALL_BROKER_DISK)
                cluster.disks["kafka-1"] = stack.enter_context(disk)
            proxies = await stack.enter_async_context(Proxies.running())
            stack.push_async_callback(cluster._stop)
            await cluster._start(proxies)
            yield cluster

    @property
    def platform(self) -> Platform:
        return ClusterPlatform(self.home, self.ports, self.secrets)

    @property
    def processes(self) -> tuple[Process, ...]:
        return tuple(self._processes.values())

    @property
    def services(self) -> tuple[Process, ...]:
        """All replicas of all services."""
        return tuple(process for process in self.processes if process.service in SERVICES)

    def process(self, name: str) -> Process:
        return self._processes[name]

    def replicas(self, service: str) -> tuple[Process, ...]:
        return tuple(self._processes[f"{service}-{number}"] for number in range(1, REPLICAS + 1))

    @property
    def postgres(self) -> Process:
        return self._processes["postgres"]

    @property
    def brokers(self) -> tuple[Process, ...]:
        return tuple(process for name, process in self._processes.items() if name.startswith("kafka-"))

    @property
    def server(self) -> EmbeddedPostgres:
        """The database server's part, which knows its directory and its port."""
        part = self.postgres.part
        assert isinstance(part, EmbeddedPostgres)
        return part

    @property
    def admin_url(self) -> str:
        return self.server.admin_url

    def database_url(self, service: str) -> str:
        return service_database(service, self.secrets).owner_url(self.admin_url)

    async def fetch(self, service: str, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows that a statement gives in a service's database; waits for a server that is away by another fault.

        Done more than once when its answer is lost: it must be harmless to repeat. TimeoutError.
        """

        async def rows() -> list[asyncpg.Record]:
            async with single_connection(self.database_url(service), "chaos") as connection:
                return await connection.fetch(sql, *arguments)

        return await until(rows, lambda _: True, f"the database of {service} to answer", _ANSWERS_WITHIN_S)

    async def count(self, service: str, sql: str, *arguments: Any) -> int:
        """The one number that a statement gives, 0 for NULL."""
        [row] = await self.fetch(service, sql, *arguments)
        return int(row[0] or 0)

    async def counts(self, sql: str, *arguments: Any) -> dict[str, int]:
        """The same in the databases of all services."""
        found = await asyncio.gather(*(self.count(service, sql, *arguments) for service in SERVICES))
        return dict(zip(SERVICES, found, strict=True))

    async def unpublished(self) -> int:
        """Events that wait in all outboxes."""
        return sum((await self.counts("SELECT count(*) FROM outbox WHERE published_at IS NULL")).values())

    @property
    def bootstrap(self) -> str:
        return servers.addresses([place.public for place in self._places])

    @property
    def direct(self) -> str:
        return servers.addresses([place.direct for place in self._places])

    async def heal(self, *, within: float = 90.0) -> None:
        """Thaw what is frozen and wait until everything serves. TimeoutError names what does not."""
        for process in self.processes:
            process.thaw()
        await asyncio.gather(*(process.until_serving(within=within) for process in self.processes))

    # ── Starting and stopping ─────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, proxies: Proxies) -> None:
        await together(self._start_databases(proxies), self._start_kafka(proxies))
        for sandbox in SANDBOXES:
            self.home.sandbox(sandbox).mkdir(parents=True, exist_ok=True)
        programs = [
            *(self._replica(service, number) for number in range(1, REPLICAS + 1) for service in SERVICES),
            *(self._sandbox(sandbox) for sandbox in SANDBOXES),
        ]
        await asyncio.gather(*(program.keeper.begin() for program in programs))
        await asyncio.gather(*(program.until_serving(within=START_WITHIN_S) for program in programs))

    async def _start_databases(self, proxies: Proxies) -> None:
        small = servers.SMALL_POSTGRES_SETTINGS if Feature.SMALL_DATABASE_DISK in self.features else {}
        server = EmbeddedPostgres(
            self.home.postgres,
            password=self.secrets.postgres_password,
            port=servers.postgres_behind(self.ports),
            log=self.home.log("postgres"),
            settings={**servers.POSTGRES_SETTINGS, **small},
        )
        self.proxies["postgres"] = await proxies.open(
            "postgres", port=self.ports.of("postgres"), to_port=servers.postgres_behind(self.ports)
        )
        await self._add("postgres", server, server.log).keeper.begin()
        await prepare_databases(SERVICES, self.home, self.ports, self.secrets)

    async def _start_kafka(self, proxies: Proxies) -> None:
        for place in self._places:
            name = f"kafka-{place.node}"
            self.proxies[name] = await proxies.open(name, port=place.public, to_port=place.behind)
        parts = servers.make_brokers(self._places, self.home)
        brokers = [self._add(name, part, part.log) for name, part in parts.items()]
        await asyncio.gather(*(broker.keeper.begin() for broker in brokers))
        await self.create_topics()

    async def create_topics(self) -> None:
        """Those of the topic list that are missing."""
        await create_topics(self.direct, TOPICS, partitions=EMBEDDED_PARTITIONS, replicas=len(self._places))

    def _replica(self, service: str, number: int) -> Process:
        program = service_program(service, "all", self.home, self.ports, self.secrets, replica=number)
        env = {**program.env, "FREEPORT_KAFKA": self.bootstrap}
        program = replace(program, name=f"{service}-{number}", log=self.home.log(f"{service}-{number}"), env=env)
        url = self.ports.url(service, number)
        return self._add(program.name, ReplicaPart(program), program.log, url, f"{url}/readyz")

    def _sandbox(self, name: str) -> Process:
        program = sandbox_program(name, self.home, self.ports, self.secrets)
        return self._add(name, ReplicaPart(program), program.log, self.ports.url(name), self.ports.probe(name))

    def _add(self, name: str, part: Part, log: Path, url: str = "", probe: str = "") -> Process:
        keeper = Keeper(part, lambda _: None, _BACKOFF)
        process = self._processes[name] = Process(name, part, keeper, log, url, probe)
        return process

    async def _stop(self) -> None:
        """Services and sandboxes first, then the brokers, the database last; what is frozen must hear of it, too."""
        for process in self.processes:
            process.thaw()
        infrastructure = (*self.brokers, *(process for process in self.processes if process.name == "postgres"))
        others = [process for process in self.processes if process not in infrastructure]
        await asyncio.gather(*(process.keeper.end() for process in others))
        for process in infrastructure:
            await process.keeper.end()


def _record(line: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}  # the last line may be half written
    return found if isinstance(found, dict) else {}
