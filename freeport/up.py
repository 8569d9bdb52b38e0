"""Bring the platform up, keep it running, take it down in order.

    PostgreSQL -> databases, migrations, keys \\
                                               -> services and sandboxes -> ready
    Kafka      -> topics                      /
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka.errors import KafkaError

from freeport import checks
from freeport.databases import prepare_databases
from freeport.embedded.jars import class_path, kafka_version
from freeport.embedded.kafka import EmbeddedKafka
from freeport.embedded.postgres import MAJOR, EmbeddedPostgres
from freeport.environment import sandbox_program, service_program
from freeport.errors import StartupError
from freeport.health import wait_until_serving
from freeport.layout import SANDBOXES, SERVICES, Home, Ports, is_built, sandbox_is_built
from freeport.leftovers import stop_leftovers
from freeport.processes import LOOPBACK, Program
from freeport.secrets import Secrets, load_or_create
from freeport.state import (
    Condition,
    Failure,
    Ownership,
    Phase,
    ProcessId,
    ProgramState,
    Stage,
    State,
    read,
    utc_text,
    write,
)
from freeport.supervisor import Keeper, Part, ProgramPart
from freeport.topics import EMBEDDED_PARTITIONS, create_topics
from shared.contracts.topics import TOPICS

READY_WITHIN = 120.0  # seconds for a service to answer after its process started
ABANDONED = 130  # exit code after a second Ctrl-C
LOG_LIMIT = 64 * 1024**2  # bytes; a larger log is set aside when the platform starts

Listener = Callable[[State], None]


class Supervision:
    """One life of the platform, from the first check to the last stop; what `without` names is left out."""

    def __init__(self, home: Home, ports: Ports, listener: Listener, without: Collection[str] = ()) -> None:
        self.home = home
        self.ports = ports
        self._listener = listener
        self._without = without
        self._keepers: dict[str, Keeper] = {}
        self._stop = asyncio.Event()
        self._topics_again: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()
        self._state = State(
            supervisor=_this_process(),
            port_base=ports.base,
            phase=Phase.STARTING,
            started_at=utc_text(datetime.now(UTC)),
        )

    async def run(self) -> None:
        """Bring everything up, keep it running until SIGTERM or SIGINT, take it down; `listener` hears every change.

        Raises `StartupError` when it cannot be brought up; nothing is left running then.
        """
        ownership = Ownership(self.home)
        if not ownership.take():
            raise already_running(self.home)
        try:
            self._obey_signals()
            await self._live()
        finally:
            ownership.give_up()

    async def _live(self) -> None:
        try:
            await self._until_stopped(self._bring_up())
            if not self._stop.is_set():
                self._change(phase=Phase.READY)
                self.ready.set()
                await self._stop.wait()
        except StartupError as error:
            self._change(failure=Failure.of(error))
            raise
        finally:
            self._change(phase=Phase.STOPPING)
            await self._take_down()
            self._change(phase=Phase.FAILED if self._state.failure else Phase.STOPPED)

    async def _bring_up(self) -> None:
        # Before the state file is written anew: until then it is the only list of what was left behind.
        left = await asyncio.to_thread(stop_leftovers, self.home)
        if left:
            self._set_stage(Stage(name="left over", detail=f"stopped {', '.join(left)}", seconds=0))
        async with self._stage("checks"):
            checks.require_disk(self.home)
            checks.require_ports(self.ports)
        secrets = load_or_create(self.home.secrets)
        _set_aside_large_logs(self.home.log("any").parent)
        await together(self._bring_up_databases(secrets), self._bring_up_kafka())
        await self._bring_up_services(secrets)

    async def _bring_up_databases(self, secrets: Secrets) -> None:
        postgres = EmbeddedPostgres(
            self.home.postgres,
            password=secrets.postgres_password,
            port=self.ports.of("postgres"),
            log=self.home.log("postgres"),
        )
        async with self._stage(f"PostgreSQL {MAJOR}"):
            await self._keep(postgres)
        wanted = [service for service in SERVICES if is_built(service) and service not in self._without]
        async with self._stage("databases"):
            await prepare_databases(wanted, self.home, self.ports, secrets)

    async def _bring_up_kafka(self) -> None:
        await self._fetch_jars()
        kafka = EmbeddedKafka(
            self.home.kafka,
            port=self.ports.of("kafka"),
            controller_port=self.ports.of("kafka-controller"),
            log=self.home.log("kafka"),
        )
        async with self._stage(f"Kafka {kafka_version()}"):
            await self._keep(kafka)
        async with self._stage("topics"):
            await create_topics(kafka.bootstrap, TOPICS, partitions=EMBEDDED_PARTITIONS)

    async def _fetch_jars(self) -> None:
        """A stage of its own, shown only when there is something to fetch: the first time it may take minutes."""
        loop = asyncio.get_running_loop()
        started = loop.time()

        def show(done: int, total: int) -> None:
            seconds = round(loop.time() - started, 2) if done == total else None
            self._set_stage(Stage(name="Kafka's jars", detail=f"{done} of {total}", seconds=seconds))

        def arrived(done: int, total: int) -> None:
            loop.call_soon_threadsafe(show, done, total)

        await asyncio.to_thread(class_path, arrived)

    async def _bring_up_services(self, secrets: Secrets) -> None:
        async with self._stage("services"):
            starts = [
                *(self._serve_service(service, secrets) for service in SERVICES),
                *(self._serve_sandbox(sandbox, secrets) for sandbox in SANDBOXES),
            ]
            await together(*starts)

    async def _serve_service(self, service: str, secrets: Secrets) -> None:
        program = service_program(service, "all", self.home, self.ports, secrets)
        await self._serve(program, built=is_built(service))

    async def _serve_sandbox(self, sandbox: str, secrets: Secrets) -> None:
        self.home.sandbox(sandbox).mkdir(parents=True, exist_ok=True)
        program = sandbox_program(sandbox, self.home, self.ports, secrets)
        await self._serve(program, built=sandbox_is_built(sandbox))

    async def _serve(self, program: Program, *, built: bool) -> None:
        name = program.name
        if not built or name in self._without:
            condition = Condition.LEFT_OUT if built else Condition.NOT_BUILT
            self._report(ProgramState(name=name, condition=condition))
            return
        keeper = await self._keep(ProgramPart(program))
        await wait_until_serving(self.ports.probe(name), program, keeper, within=READY_WITHIN)

    async def _keep(self, part: Part) -> Keeper:
        keeper = self._keepers[part.name] = Keeper(part, self._report)
        await keeper.begin()
        return keeper

    async def _take_down(self) -> None:
        """Services and sandboxes first, so that they commit and leave their groups; then Kafka; the database last."""
        if self._topics_again is not None:
            self._topics_again.cancel()
        infrastructure = ("kafka", "postgres")
        programs = [keeper for name, keeper in self._keepers.items() if name not in infrastructure]
        await asyncio.gather(*(keeper.end() for keeper in programs))
        for name in infrastructure:
            if name in self._keepers:
                await self._keepers[name].end()

    async def _until_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; when a stop is asked for in the middle of it, abandon it."""
        working = asyncio.create_task(work)
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            await asyncio.wait((working,))
            return
        stopping.cancel()
        await working

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)

    def _asked_to_stop(self) -> None:
        """The first time stop in order; the second time at once (the next start recovers)."""
        if not self._stop.is_set():
            self._stop.set()
            return
        for name, keeper in self._keepers.items():
            if keeper.part.pid is not None and keeper.part.exit_code() is None:
                # PostgreSQL's own way of stopping at once, which takes its children along.
                os.killpg(keeper.part.pid, signal.SIGQUIT if name == "postgres" else signal.SIGKILL)
        os._exit(ABANDONED)

    @asynccontextmanager
    async def _stage(self, name: str) -> AsyncGenerator[None]:
        clock = asyncio.get_running_loop().time
        started = clock()
        self._set_stage(Stage(name=name))
        yield
        self._set_stage(Stage(name=name, seconds=round(clock() - started, 2)))

    def _set_stage(self, stage: Stage) -> None:
        self._set(self._state.with_stage(stage))

    def _report(self, program: ProgramState) -> None:
        self._set(self._state.with_program(program))
        if program.name == "kafka" and program.restarts and program.condition is Condition.RUNNING:
            # It may have lost its data. The services fill its topics again, and make none.
            self._topics_again = asyncio.create_task(self._make_topics())

    async def _make_topics(self) -> None:
        bootstrap = f"{LOOPBACK}:{self.ports.of('kafka')}"
        while not self._stop.is_set():
            try:
                await create_topics(bootstrap, TOPICS, partitions=EMBEDDED_PARTITIONS)
                return
            except (KafkaError, StartupError, OSError) as error:
                sys.stderr.write(f"Kafka's topics could not be made: {error!r}\n")
                await asyncio.sleep(1.0)

    def _change(self, **changes: Any) -> None:
        self._set(replace(self._state, **changes))

    def _set(self, state: State) -> None:
        self._state = state
        try:
            write(self.home, state)
        except OSError as error:
            # A full disk must not end the supervision of what still runs.
            sys.stderr.write(f"the state could not be written: {error}\n")
        self._listener(state)


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Run side by side; the first `StartupError` cancels the others and is raised as itself, without a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        expected = errors.subgroup(StartupError)
        raise (errors if expected is None else _first(expected)) from None


def _first(errors: BaseExceptionGroup[StartupError]) -> StartupError:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def already_running(home: Home) -> StartupError:
    state = read(home)
    who = f"process {state.supervisor.pid} runs it since {state.started_at}" if state else "another process runs it"
    return StartupError(
        "Freeport is already running",
        why=f"{who} in {home.directory}",
        fix="`freeport urls` tells its addresses, `freeport down` stops it",
    )


def _this_process() -> ProcessId:
    found = ProcessId.of(os.getpid())
    if found is None:
        raise RuntimeError("the system does not show us our own process")
    return found


def _set_aside_large_logs(directory: Path) -> None:
    for log in directory.glob("*.log"):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))
