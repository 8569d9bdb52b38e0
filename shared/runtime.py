"""A service as a process: `python -m services.<name>.main api | worker | all | migrate`."""

import asyncio
import contextlib
import importlib
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI

from shared import http, telemetry
from shared.auth import Keys
from shared.database import Database, is_transient
from shared.deadletter_api import dead_letters
from shared.messaging import deadletters
from shared.messaging.combiner import Combiner
from shared.messaging.consumer import Consumer
from shared.messaging.desk import Count, Desk, Load, Save, count_nothing
from shared.messaging.relay import Relay
from shared.messaging.routing import Router
from shared.messaging.workers import Gateways, call_loops, repeat, settle_deadlines, settle_released
from shared.migrations import migrate
from shared.settings import ServiceSettings

S = TypeVar("S")
Config = TypeVar("Config", bound=ServiceSettings)
_log = structlog.get_logger()
_ROLES = ("api", "worker", "all", "migrate")
_DRAIN_S = 10.0


@asynccontextmanager
async def no_gateways(_: object) -> AsyncGenerator[Gateways]:
    """For a service that calls nobody outside."""
    yield {}


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S, Config]):
    """All that makes a service: plain parts, wired once in its main.py."""

    name: str
    settings: type[Config]
    api: Sequence[APIRouter]
    routes: Callable[[Router[S]], None]
    load: Load[S]
    save: Save[S]
    package: str
    count: Count[S] = count_nothing
    outside: Callable[[Config], AbstractAsyncContextManager[Gateways]] = no_gateways
    workers: Sequence[Callable[["Kit[Config]"], Coroutine[Any, Any, None]]] = ()

    def versions(self) -> Path:
        """The folder of the service's migrations."""
        return Path(*importlib.import_module(self.package).__path__) / "migrations" / "versions"


class Committed:
    """Tells the loops of this process that a transaction has committed, so that they need not poll."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []

    def add(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit."""
        self._listeners.append(listener)

    def event(self) -> asyncio.Event:
        """An event of one's own that every commit sets."""
        event = asyncio.Event()
        self.add(event.set)
        return event

    def __call__(self) -> None:
        for listener in self._listeners:
            listener()


@dataclass
class Kit(Generic[Config]):
    """What a running service offers to its routes and workers."""

    settings: Config
    database: Database
    desk: "Desk[Any]"
    keys: Keys
    combiner: Combiner
    commands: http.CommandRunner
    committed: Committed = field(default_factory=Committed)
    ready: bool = True
    kafka: Callable[[], str] = lambda: "unused"

    def set_ready(self) -> None:
        """The consumer has joined its group."""
        self.ready = True


async def build(service: "Service[Any, Any]", settings: ServiceSettings) -> "Kit[Any]":
    """Connect and wire, without starting a loop."""
    database = await Database.connect(
        settings.database_url.get_secret_value(), pool_size=settings.pool_size, application_name=service.name
    )
    router: Router[Any] = Router()
    service.routes(router)
    desk: Desk[Any] = Desk(service.name, database, router, service.load, service.save, service.count)
    combiner = Combiner(desk, capacity=settings.queue_capacity)
    kit: Kit[Any] = Kit(settings, database, desk, Keys(database), combiner, http.CommandRunner(combiner))
    desk.committed = kit.committed
    return kit


def create_app(service: "Service[Any, Any]", kit: "Kit[Any]") -> FastAPI:
    """The service's HTTP application over a kit."""
    return http.create_app(service.name, (*service.api, dead_letters(service.name)), kit)


def run(service: "Service[Any, Any]") -> None:
    """The command line of a service's main.py."""
    role = sys.argv[1] if len(sys.argv) > 1 else "all"
    if role not in _ROLES:
        sys.exit(f"usage: python -m services.{service.name}.main {' | '.join(_ROLES)}")
    settings = service.settings()
    telemetry.configure_logging(service.name, level=settings.log_level)
    if role == "migrate":
        if settings.owner_database_url is None:
            sys.exit("migrate needs FREEPORT_OWNER_DATABASE_URL, the database URL of the owning role")
        asyncio.run(
            migrate(settings.owner_database_url.get_secret_value(), service=service.name, versions=service.versions())
        )
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(service, settings, role))


async def _serve(service: "Service[Any, Any]", settings: ServiceSettings, role: str) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        kit = await build(service, settings)
        stack.push_async_callback(kit.database.close)
        loops = _Loops(kit)
        if role in ("worker", "all"):
            gateways = await stack.enter_async_context(service.outside(settings))
            loops.start_workers(service, gateways)
        if role in ("api", "all"):
            loops.start_api(create_app(service, kit))
        failed = await loops.until(stopping)
        await loops.drain()
    if failed:
        sys.exit(1)


class _Loops:
    """The endless tasks of a process. One that ends by itself ends the process: the supervisor starts it anew."""

    def __init__(self, kit: "Kit[Any]") -> None:
        self._kit = kit
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._consumer: Consumer | None = None
        self._server: _Server | None = None

    def start_workers(self, service: "Service[Any, Any]", gateways: Gateways) -> None:
        """Relay, consumer, deadlines, calls, housekeeping and what the service adds."""
        kit, desk = self._kit, self._kit.desk
        relay = Relay(service.name, kit.database, kit.settings.kafka)
        kit.committed.add(relay.wake)
        self._start("relay", relay.run())
        if desk.router.topics:
            kit.ready = False
            self._consumer = Consumer(desk, kit.settings.kafka, instance=kit.settings.instance, joined=kit.set_ready)
            self._start("consumer", self._consumer.run())
        self._start("deadlines", repeat("deadlines", lambda: settle_deadlines(desk), asyncio.Event(), 0.5))
        self._start("released", repeat("released", lambda: settle_released(desk), asyncio.Event(), 1.0))
        self._start("housekeeping", keep_house(kit.database, relay))
        if gateways:
            for name, loop in call_loops(desk, gateways, kit.committed.event()).items():
                self._start(name, loop)
        for worker in service.workers:
            self._start(worker.__name__, worker(kit))

    def start_api(self, app: FastAPI) -> None:
        """The HTTP server and the queue before the desk."""
        settings = self._kit.settings
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="none",
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2048,
            timeout_keep_alive=75,  # longer than a load balancer keeps its own: it closes first, not we in mid-request
            timeout_graceful_shutdown=int(_DRAIN_S),
        )
        self._server = _Server(config)
        self._start("combiner", self._kit.combiner.run())
        self._start("http", self._server.serve())

    async def until(self, stopping: asyncio.Event) -> bool:
        """Wait for the order to stop, or for a loop that ends. True when one did."""
        stop = asyncio.ensure_future(stopping.wait())
        done, _ = await asyncio.wait([stop, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in done if task is not stop]
        for task in ended:
            _log.error("service.loop_ended", loop=task.get_name(), exc_info=task.exception())
        stop.cancel()
        return bool(ended)

    async def drain(self) -> None:
        """Stop intake, finish what is in hand, let go. Bounded: what does not end is cancelled."""
        if self._server is not None:
            self._server.should_exit = True
        if self._consumer is not None:
            self._consumer.stop()
        await self._finish("http", "consumer")
        self._kit.combiner.close()
        await self._finish("combiner")
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values(), timeout=_DRAIN_S)

    async def _finish(self, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.get(name)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=_DRAIN_S)

    def _start(self, name: str, loop: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(loop, name=name)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own order of stopping."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


_AGES = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL),
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox WHERE published_at IS NULL),
    (SELECT count(*) FROM parked_message)
"""
_GAUGES = (telemetry.OUTBOX_PENDING, telemetry.OUTBOX_AGE, telemetry.PARKED)
_FORGET_KEYS = "DELETE FROM idempotency_key WHERE ctid IN (SELECT ctid FROM idempotency_key WHERE created_at < now() - interval '72 hours' LIMIT 5000)"
# A call whose answer could not be decided is kept until somebody has settled that.
_FORGET_CALLS = """
DELETE FROM outside_call WHERE ctid IN (
    SELECT c.ctid FROM outside_call c WHERE c.done_at < now() - interval '7 days'
        AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.state = 'open' AND d.source = 'call' AND d.key = c.id)
    LIMIT 5000
)
"""


async def keep_house(database: Database, relay: Relay) -> None:
    """Measure what only the database knows, and delete what has had its time."""
    rounds = 0
    while True:
        try:
            for row in await database.fetch(_AGES):
                for gauge, value in zip(_GAUGES, row.values(), strict=True):
                    gauge.set(float(value))
            await deadletters.note_gaps(database)
            await deadletters.measure(database)
            size, idle = database.pool_state()
            telemetry.POOL.labels("idle").set(idle)
            telemetry.POOL.labels("used").set(size - idle)
            if rounds % 120 == 0:
                await relay.clean()
                await database.execute(_FORGET_KEYS)
                await database.execute(_FORGET_CALLS)
            rounds += 1
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("housekeeping.retry", error=repr(error))
        await asyncio.sleep(5)
