"""The command line: `freeport up | down | status | urls | logs | reset`, and the commands of its neighbours."""

import asyncio
import importlib
import importlib.util
import json
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from freeport.errors import StartupError
from freeport.health import which_answer
from freeport.layout import DEFAULT_PORT_BASE, ROOT, Home, Ports
from freeport.leftovers import stop_leftovers
from freeport.platform import Platform, delete_platform
from freeport.progress import Progress
from freeport.state import Condition, Ownership, Phase, ProgramState, State, is_owned, read
from freeport.up import Supervision, already_running

NEIGHBOURS = ("demo", "replay", "audit", "bench", "dlq", "bulk", "channels")
"""Commands of other modules: `freeport/<name>/command.py` or `freeport/<name>.py` holds a function, or a group, of that name."""

DOWN_WITHIN = 90.0  # seconds: the services' patience, then Kafka's, then PostgreSQL's

app = typer.Typer(
    help="Freeport: seven commerce services, their databases and their event broker, on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console()
err = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home", help="Where everything is kept. Unless given: FREEPORT_HOME, else .freeport in the checkout."
    ),
]
PortBaseOption = Annotated[
    int, typer.Option(envvar="FREEPORT_PORT_BASE", help="Start of the block of ports; services follow from base + 1.")
]


@app.command()
def up(
    home: HomeOption = None,
    port_base: PortBaseOption = DEFAULT_PORT_BASE,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything serves; it runs on.")] = False,
    without: Annotated[list[str] | None, typer.Option(help="Leave a service or sandbox out; may be repeated.")] = None,
    as_json: JsonOption = False,
    supervise: Annotated[bool, typer.Option(hidden=True, help="Print no addresses: they hold secrets.")] = False,
) -> None:
    """Start PostgreSQL, Kafka, the services and the sandboxes; keep them running. Ctrl-C stops them."""
    place = _home(home)
    with Progress(err if as_json else out) as progress:
        if detach:
            _start_detached(place, port_base, without or [], progress)
            progress.rest()
            _print_urls(Platform.load(place.directory), as_json=as_json)
        else:
            tell = _no_addresses if supervise else partial(_print_urls, as_json=as_json)
            _run_here(Supervision(place, Ports(port_base), progress, without or []), tell)


@app.command()
def down(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Stop everything in order: services, Kafka, PostgreSQL. The data stays."""
    place = _home(home)
    stopped = _stop(place)
    if as_json:
        _print_json({"stopped": stopped})
    else:
        out.print("Stopped. `freeport up` goes on where it was." if stopped else "Freeport was not running.")


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What runs, since when, how often it was started again. Exit code 1 when anything that should serve does not."""
    place = _home(home)
    state = read(place)
    running = is_owned(place)
    if state is None or not running:
        _tell_not_running(place, state, as_json=as_json)
        raise typer.Exit(1)
    ready = asyncio.run(which_answer(_probes(state)))
    if as_json:
        _print_json({"phase": state.phase, "supervisor": state.supervisor.pid, "programs": _rows(state, ready)})
    else:
        _print_status(state, ready)
    if state.phase is not Phase.READY or not all(ready.values()):
        raise typer.Exit(1)


@app.command()
def urls(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Print every address and the test key."""
    _print_urls(Platform.load(_home(home).directory), as_json=as_json)


@app.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="A service, a sandbox, kafka, postgres or supervisor.")] = None,
    home: HomeOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on printing what is written.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Print the last lines of one log, or of all."""
    place = _home(home)
    files = sorted(place.log("any").parent.glob("*.log")) if name is None else [place.log(name)]
    found = {file.stem: _last_lines(file, lines) for file in files if file.exists()}
    if not found:
        raise StartupError(
            f"There is no log {name or ''}".strip(), why=f"nothing is in {place.log('any').parent}", fix="`freeport up`"
        )
    if as_json:
        _print_json(found)
        return
    for stem, text in found.items():
        for line in text:
            _print_log_line(stem, line)
    if follow:
        _follow(files)


@app.command()
def reset(
    home: HomeOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Stop everything and delete all data, logs and secrets of the embedded platform."""
    place = _home(home)
    if not yes:
        typer.confirm(f"Delete all data in {place.directory}?", abort=True)
    _stop(place)
    deleted = delete_platform(place)
    if as_json:
        _print_json({"deleted": deleted})
    else:
        out.print("Deleted. `freeport up` begins anew." if deleted else "There was nothing to delete.")


def run(arguments: Sequence[str]) -> int:
    """Carry out the command; the exit code. A `StartupError` becomes three lines on standard error."""
    _add_neighbours(arguments)
    try:
        code = app(list(arguments), standalone_mode=False)
    except StartupError as error:
        err.print(error.what, style="bold red", highlight=False, markup=False, soft_wrap=True)
        err.print(f"  why: {error.why}", highlight=False, markup=False, soft_wrap=True)
        err.print(f"  fix: {error.fix}", highlight=False, markup=False, soft_wrap=True)
        return 1
    except typer.TyperException as error:  # a wrong option or argument: its own words, no traceback
        err.print(str(error), style="bold red", highlight=False, markup=False, soft_wrap=True)
        err.print("  fix: add --help to see what there is", highlight=False, markup=False, soft_wrap=True)
        return 2
    except (typer.Abort, KeyboardInterrupt):
        err.print("Stopped.")
        return 130
    return code if isinstance(code, int) else 0


def _add_neighbours(arguments: Sequence[str]) -> None:
    # Only the one that is named is imported (all of them for the help): `up` should not pay for the others.
    named = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name in NEIGHBOURS:
        if named in (None, name):
            _add_neighbour(name)


def _add_neighbour(name: str) -> None:
    for module in (f"freeport.{name}.command", f"freeport.{name}"):
        if _exists(module) and (command := getattr(importlib.import_module(module), name, None)):
            if isinstance(command, typer.Typer):
                app.add_typer(command, name=name)
            else:
                app.command(name)(command)
            return


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _home(given: Path | None) -> Home:
    return Home.default() if given is None else Home(given.absolute())


def _run_here(supervision: Supervision, tell: Callable[[Platform], None]) -> None:
    async def until_stopped() -> None:
        running = asyncio.create_task(supervision.run())
        ready = asyncio.create_task(supervision.ready.wait())
        await asyncio.wait((running, ready), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            tell(Platform.load(supervision.home.directory))
        ready.cancel()
        await running

    asyncio.run(until_stopped())


def _no_addresses(_platform: Platform) -> None:
    """For a supervisor whose output is a log: the addresses hold a password and a key."""


def _start_detached(home: Home, port_base: int, without: list[str], progress: Progress) -> None:
    if is_owned(home):
        raise already_running(home)
    log = home.log("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True)
    options = [word for name in without for word in ("--without", name)]
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            (
                sys.executable,
                "-m",
                "freeport",
                "up",
                "--supervise",
                "--home",
                home.directory,
                "--port-base",
                str(port_base),
                *options,
            ),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while True:
        ended = supervisor.poll() is not None
        state = read(home)
        if state is not None and state.supervisor.pid == supervisor.pid:
            progress(state)
            if state.phase is Phase.READY:
                return
            if ended and state.failure is not None:
                raise state.failure.error()
        if ended:
            last = _last_lines(log, 3)
            raise StartupError("Freeport did not start", why=" / ".join(last), fix=f"See {log}")
        time.sleep(0.1)


def _stop(home: Home) -> bool:
    """Stop the supervisor and wait, or stop what a killed one left behind. True when anything ran."""
    state = read(home)
    if is_owned(home) and state is not None:
        supervisor = state.supervisor.process()
        if supervisor is not None:
            supervisor.send_signal(signal.SIGTERM)
        ownership = Ownership(home)
        if not ownership.take(patience=DOWN_WITHIN):
            raise StartupError(
                "Freeport does not stop",
                why=f"its supervisor (process {state.supervisor.pid}) is still at it after {DOWN_WITHIN:.0f} s",
                fix=f"See {home.log('supervisor')}; kill -9 {state.supervisor.pid} loses nothing, the next start recovers",
            )
        ownership.give_up()
        return True
    return bool(stop_leftovers(home))


def _probes(state: State) -> dict[str, str]:
    """Where to ask what should answer HTTP."""
    ports = Ports(state.port_base)
    silent = ("kafka", "postgres")
    return {
        name: ports.probe(name)
        for name, program in state.programs.items()
        if name not in silent and program.condition not in (Condition.NOT_BUILT, Condition.LEFT_OUT)
    }


def _rows(state: State, ready: dict[str, bool]) -> list[dict[str, Any]]:
    ports = Ports(state.port_base)
    return [
        {
            "name": program.name,
            "condition": program.condition,
            "ready": ready.get(program.name, program.condition is Condition.RUNNING),
            "port": ports.of(program.name),
            "pid": program.process.pid if program.process else None,
            "restarts": program.restarts,
            "since": program.since,
            "next_start": program.next_start,
            "last_exit": program.last_exit,
        }
        for program in state.programs.values()
    ]


def _print_status(state: State, ready: dict[str, bool]) -> None:
    table = Table("program", "state", "port", "pid", "restarts", "for", "last end", box=None, header_style="dim")
    for program in state.programs.values():
        table.add_row(
            program.name,
            _condition_text(program, ready),
            str(Ports(state.port_base).of(program.name)),
            str(program.process.pid) if program.process else "",
            str(program.restarts),
            _age(program.since),
            program.last_exit or "",
        )
    out.print(
        f"Freeport is {state.phase} (process {state.supervisor.pid}, up for {_age(state.started_at)})", highlight=False
    )
    out.print(table)


def _age(since: str | None) -> str:
    """How long ago, in the two largest units."""
    if since is None:
        return ""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} m {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} m"


def _condition_text(program: ProgramState, ready: dict[str, bool]) -> str:
    if program.condition is Condition.BACKING_OFF:
        return f"[red]backing off, next start {program.next_start}[/]"
    if program.condition is Condition.RUNNING:
        return "[green]running[/]" if ready.get(program.name, True) else "[yellow]running, not ready[/]"
    return f"[dim]{program.condition}[/]"


def _tell_not_running(home: Home, state: State | None, *, as_json: bool) -> None:
    phase = state.phase if state is not None and state.phase in (Phase.FAILED, Phase.STOPPED) else Phase.STOPPED
    failure = state.failure if state is not None else None
    left = [] if state is None else [p.name for p in state.programs.values() if p.process and p.process.process()]
    if as_json:
        _print_json({"phase": phase, "supervisor": None, "programs": [], "left_over": left})
        return
    out.print(f"Freeport is not running in {home.directory}.", highlight=False)
    if failure is not None:
        out.print(f"The last start failed: {failure.what}: {failure.why}", highlight=False, markup=False)
    if left:
        out.print(f"Left over from a killed supervisor: {', '.join(left)}. `freeport up` recovers.", highlight=False)


def _print_urls(platform: Platform, *, as_json: bool) -> None:
    if as_json:
        _print_json(platform.addresses())
        return
    services = platform.addresses()["services"]
    for name, url in platform.urls.items():
        _print_address(name, url, f"{url}/docs" if name in services else "sandbox")
    _print_address("kafka", platform.kafka)
    _print_address("postgres", platform.postgres)
    _print_address("test key", platform.test_key)
    out.print("[dim]freeport status | logs | down | reset[/]", highlight=False)


def _print_address(name: str, address: str, note: str = "") -> None:
    out.print(f"{name:<10} {address}  [dim]{note}[/]".rstrip(), highlight=False, soft_wrap=True)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")
    sys.stdout.flush()


def _last_lines(file: Path, count: int) -> list[str]:
    with file.open(errors="replace") as text:
        return [line.rstrip("\n") for line in deque(text, maxlen=count)]


def _print_log_line(stem: str, line: str) -> None:
    out.print(f"[dim]{stem:>10} |[/] ", end="", highlight=False)
    out.print(line, markup=False, highlight=False, soft_wrap=True)


def _follow(files: list[Path]) -> None:
    """Print what is appended to the files until interrupted."""
    places = {file: file.stat().st_size if file.exists() else 0 for file in files}
    while True:
        for file, place in places.items():
            if file.exists() and file.stat().st_size > place:
                with file.open("rb") as opened:
                    opened.seek(place)
                    added = opened.read()
                # A line that is being written is printed with its end.
                whole = added[: added.rfind(b"\n") + 1]
                places[file] = place + len(whole)
                for line in whole.decode(errors="replace").splitlines():
                    _print_log_line(file.stem, line)
        time.sleep(0.2)
