"""A service as a process: `python -m services.<name>.main api | worker | all | migrate`."""

import asyncio
import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import structlog
import uvicorn
import uvloop
from fastapi import APIRouter, FastAPI

from shared import http, telemetry
from shared.auth import Keys
from shared.database import Database, is_transient, single_connection
from shared.deadletter_api import dead_letters
from shared.messaging import deadletters
from shared.messaging.combiner import Combiner
from shared.messaging.consumer import Consumer
from shared.messaging.desk import Count, Desk, Load, Save, count_nothing
from shared.messaging.relay import Relay
from shared.messaging.routing import Router
from shared.messaging.workers import (
    Beat,
    Gateways,
    call_loops,
    repeat,
    settle_deadlines,
    settle_released,
    unclaimed_call,
    unclaimed_deadline,
)
from shared.migrations import migrate
from shared.patience import PatientProtocol, close_the_slow
from shared.settings import ServiceSettings
from shared.watchdog import LoopGuard, Watchdog

S = TypeVar("S")
Config = TypeVar("Config", bound=ServiceSettings)
_log = structlog.get_logger()
_ROLES = ("api", "worker", "all", "migrate")


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

    @property
    def description(self) -> str:
        """What it is for, in a sentence: its package's docstring."""
        return importlib.import_module(self.package).__doc__ or ""

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


async def for_workers(service: "Service[Any, Any]", kit: "Kit[Any]") -> "Kit[Any]":
    """The same kit over a pool of its own: loops that wait for locks take no connection from the requests, nor they from the loops."""
    settings = kit.settings
    database = await Database.connect(
        settings.database_url.get_secret_value(), pool_size=settings.worker_pool_size, application_name=service.name
    )
    return replace(kit, database=database, desk=replace(kit.desk, database=database))


def create_app(service: "Service[Any, Any]", kit: "Kit[Any]") -> FastAPI:
    """The service's HTTP application over a kit."""
    routers = (*service.api, dead_letters(service.name))
    return http.create_app(service.name, routers, kit, description=service.description)


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
    guard = LoopGuard(loop, patience_s=settings.loop_stuck_after_s)
    guard.start()
    async with AsyncExitStack() as stack:
        kit = await build(service, settings)
        stack.push_async_callback(kit.database.close)
        loops = _Loops(service, kit)
        if role in ("worker", "all"):
            worker_kit = await for_workers(service, kit)
            stack.push_async_callback(worker_kit.database.close)
            gateways = await stack.enter_async_context(service.outside(settings))
            loops.start_workers(worker_kit, gateways)
        if role in ("api", "all"):
            loops.start_api(create_app(service, kit))
        loops.start_watchdog()
        failed = await loops.until(stopping)
        _end_by_force_after(settings.shutdown_s)
        await loops.drain(settings.shutdown_s)
    guard.stop()
    if failed:
        sys.exit(1)


def _end_by_force_after(seconds: float) -> None:
    """Whatever does not let go by then, in this process or in what it waits for, does not hold it up any longer."""

    def end() -> None:
        _log.error("service.ended_by_force", after_s=seconds)
        sys.stdout.flush()
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


class _Loops:
    """The endless tasks of a process. One that ends by itself ends the process: the supervisor starts it anew."""

    def __init__(self, service: "Service[Any, Any]", kit: "Kit[Any]") -> None:
        self._service = service
        self._kit = kit
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._consumer: Consumer | None = None
        self._server: _Server | None = None
        settings = kit.settings
        url = settings.database_url.get_secret_value()
        self._watchdog = Watchdog(
            lambda: single_connection(url, f"{service.name}-watchdog"), patience_s=settings.stuck_after_s
        )

    def start_workers(self, kit: "Kit[Any]", gateways: Gateways) -> None:
        """Relay, consumer, deadlines, calls, housekeeping and what the service adds."""
        desk, watch = kit.desk, self._watchdog.watch
        relay = Relay(self._service.name, kit.database, kit.settings.kafka, instance=kit.settings.instance)
        kit.committed.add(relay.wake)
        self._start("relay", relay.run())
        watch("relay", lambda: relay.signs, relay.waiting)
        if desk.router.topics:
            self._kit.ready = False
            consumer = Consumer(desk, kit.settings.kafka, instance=kit.settings.instance, joined=self._kit.set_ready)
            self._consumer = consumer
            self._start("consumer", consumer.run())
            watch("consumer", lambda: consumer.signs, consumer.waiting)
        self._kit.kafka = lambda: _reach(relay, self._consumer)
        due, made = Beat(), Beat()
        self._start("deadlines", repeat("deadlines", lambda: settle_deadlines(desk), asyncio.Event(), 0.5, due))
        watch("deadlines", lambda: due.count + desk.retries, unclaimed_deadline)
        self._start("released", repeat("released", lambda: settle_released(desk), asyncio.Event(), 1.0))
        self._start("housekeeping", keep_house(kit.database, relay))
        if gateways:
            for name, loop in call_loops(desk, gateways, kit.committed.event(), made).items():
                self._start(name, loop)
            watch("calls", lambda: made.count + desk.retries, unclaimed_call)
        for worker in self._service.workers:
            self._start(worker.__name__, worker(kit))

    def start_api(self, app: FastAPI) -> None:
        """The HTTP server and the queue before the desk."""
        kit, settings = self._kit, self._kit.settings
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            loop="none",
            http=PatientProtocol,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=2048,
            timeout_keep_alive=75,  # longer than a load balancer keeps its own: it closes first, not we in mid-request
            timeout_graceful_shutdown=max(1, int(settings.shutdown_s * 0.4)),
        )
        self._server = _Server(config)
        self._start("combiner", kit.combiner.run())
        self._start("http", self._server.serve())
        self._watchdog.watch("combiner", lambda: kit.combiner.batches + kit.desk.retries, kit.combiner.waiting)

    def start_watchdog(self) -> None:
        """Once all that it looks after is there."""
        self._start("watchdog", self._watchdog.run())

    async def until(self, stopping: asyncio.Event) -> bool:
        """Wait for the order to stop, or for a loop that ends. True when one did."""
        stop = asyncio.ensure_future(stopping.wait())
        done, _ = await asyncio.wait([stop, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in done if task is not stop]
        for task in ended:
            _log.error("service.loop_ended", loop=task.get_name(), exc_info=task.exception())
        stop.cancel()
        return bool(ended)

    async def drain(self, budget_s: float) -> None:
        """Stop intake, finish what is in hand, let go. Each step has a share of the budget: what does not end is cancelled."""
        self._tasks["watchdog"].cancel()
        if self._server is not None:
            self._server.should_exit = True
        if self._consumer is not None:
            self._consumer.stop()
        await self._finish(0.5 * budget_s, "http", "consumer")
        self._kit.combiner.close()
        await self._finish(0.15 * budget_s, "combiner")
        for task in self._tasks.values():
            task.cancel()
        await asyncio.wait(self._tasks.values(), timeout=0.15 * budget_s)

    async def _finish(self, patience_s: float, *names: str) -> None:
        tasks = [task for name in names if (task := self._tasks.get(name)) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=patience_s)

    def _start(self, name: str, loop: Coroutine[Any, Any, None]) -> None:
        self._tasks[name] = asyncio.create_task(loop, name=name)


def _reach(relay: Relay, consumer: Consumer | None) -> str:
    out_of_reach = relay.out_of_reach or (consumer is not None and consumer.out_of_reach)
    return "unreachable" if out_of_reach else "reachable"


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has its own order of stopping."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:  # it ticks ten times a second
            close_the_slow(self.server_state.connections)
        return await super().on_tick(counter)


_AGES = """
SELECT (SELECT count(*) FROM outbox WHERE published_at IS NULL),
    (SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM outbox WHERE published_at IS NULL),
    (SELECT count(*) FROM parked_message)
"""
_GAUGES = (telemetry.OUTBOX_PENDING, telemetry.OUTBOX_AGE, telemetry.PARKED)
_BITE = 5000  # rows a statement, so that none runs into its time-out
_FORGET_KEYS = f"""
DELETE FROM idempotency_key WHERE ctid IN (
    SELECT ctid FROM idempotency_key WHERE created_at < now() - interval '72 hours' LIMIT {_BITE}
)
"""  # noqa: S608 (constants of ours)
# A call whose answer could not be decided is kept until somebody has settled that.
_FORGET_CALLS = f"""
DELETE FROM outside_call WHERE ctid IN (
    SELECT c.ctid FROM outside_call c WHERE c.done_at < now() - interval '7 days'
        AND NOT EXISTS (SELECT FROM dead_letter d WHERE d.state = 'open' AND d.source = 'call' AND d.key = c.id)
    LIMIT {_BITE}
)
"""  # noqa: S608 (constants of ours)


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
                await forget(database)
            rounds += 1
        except Exception as error:
            if not is_transient(error):
                raise
            _log.warning("housekeeping.retry", error=repr(error))
        await asyncio.sleep(5)


async def forget(database: Database) -> None:
    """Delete all answers that nobody may ask for again, and calls that were settled long ago."""
    for statement in (_FORGET_KEYS, _FORGET_CALLS):
        while await database.execute(statement) == f"DELETE {_BITE}":
            pass
