"""The command line of the demo: bring the platform up where it is not, play the scenes, audit, judge."""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from freeport.audit.command import audit_platform
from freeport.demo.report import DemoReport
from freeport.demo.scene import Result, Scene, play
from freeport.demo.scenes import SCENES
from freeport.demo.world import World
from freeport.errors import StartupError
from freeport.layout import DEFAULT_PORT_BASE, ROOT, SERVICES, Home
from freeport.platform import Platform
from freeport.state import is_owned

REPORT = "demo-report.json"
_REST_S = 30.0
_LOG_WIDTH = 140  # of the table where there is no terminal to fit it into


def demo(
    scene: Annotated[list[str] | None, typer.Argument(help="Names of scenes; all of them unless given.")] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout).")
    ] = None,
    port_base: Annotated[
        int, typer.Option(envvar="FREEPORT_PORT_BASE", help="Start of the block of ports, where it must be started.")
    ] = DEFAULT_PORT_BASE,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Start everything, play the scenes of an order's life, audit, and print the verdict.

    On a terminal the platform stays up; otherwise what was started is stopped. Exit code 1 when a scene or the audit fails.
    """
    place = Home.default() if home is None else Home(home.absolute())
    chosen = _chosen(scene or [])
    # With --json standard output is the report's alone.
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = max(console.width, _LOG_WIDTH)
    with _running(place, port_base, console) as platform:
        report = asyncio.run(_demonstrate(platform, chosen, console))
        report.write(place.directory / REPORT)
        if as_json:
            sys.stdout.buffer.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        else:
            report.print(console)
            if _stays_up():
                _print_what_next(platform, console)
    if report.verdict != "pass":
        raise typer.Exit(1)


async def _demonstrate(platform: Platform, chosen: Sequence[Scene[World]], console: Console) -> DemoReport:
    missing = [service for service in SERVICES if service not in platform.urls]
    if missing:
        raise StartupError(
            "The demo needs every service", why=f"{', '.join(missing)} is not built", fix="See README.md"
        )
    began, started_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    async with World.opened(platform) as world:
        results = [await _play(scene, world, console) for scene in chosen]
        with _doing(console, "audit"):
            audit = await audit_platform(platform, wait=_REST_S)
        return DemoReport(started_at, time.monotonic() - began, world.run, results, audit)


async def _play(scene: Scene[World], world: World, console: Console) -> Result:
    with _doing(console, scene.name):
        result = await play(scene, world)
    mark = "[green]✓[/]" if result.ok else "[bold red]✗[/]"
    console.print(f"{mark} {result.name} [dim]{result.seconds:.1f} s[/]", highlight=False)
    return result


def _chosen(names: Sequence[str]) -> Sequence[Scene[World]]:
    by_name = {scene.name: scene for scene in SCENES}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise StartupError(
            "There is no such scene", why=f"nothing is called {', '.join(unknown)}", fix=f"One of: {', '.join(by_name)}"
        )
    return [by_name[name] for name in names] or SCENES


@contextlib.contextmanager
def _running(home: Home, port_base: int, console: Console) -> Generator[Platform]:
    """The platform in that directory; started, where it does not run, and then stopped again unless it stays up."""
    if is_owned(home):
        yield Platform.load(home.directory)
        return
    _freeport(home, "up", "--detach", "--port-base", str(port_base))
    stay = False
    try:
        yield Platform.load(home.directory)
        stay = _stays_up()
    finally:
        if not stay:
            console.print("Stopping what was started.")
            _freeport(home, "down")


def _freeport(home: Home, *arguments: str) -> None:
    """The command in a process of its own. With --json its progress, stage by stage, and its errors go to standard error."""
    command = (sys.executable, "-m", "freeport", *arguments, "--json", "--home", str(home.directory))
    if subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode:
        raise typer.Exit(1)  # it has said why


def _stays_up() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _doing(console: Console, what: str) -> contextlib.AbstractContextManager[object]:
    return console.status(what) if console.is_terminal else contextlib.nullcontext()


def _print_what_next(platform: Platform, console: Console) -> None:
    orders = platform.urls["orders"]
    console.print()
    for name, url in platform.urls.items():
        docs = f"   {url}/docs" if name in SERVICES else ""
        console.print(f"{name:>10}  {url}{docs}", highlight=False, soft_wrap=True)
    console.print("\nIt stays up. Paste this to see the newest order:", highlight=False)
    console.print(
        f"curl -s '{orders}/v1/orders?limit=1' -H 'Authorization: Bearer {platform.test_key}'",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    console.print("\n[dim]Stop: make down   Again: make demo   Delete the data: make reset[/]", highlight=False)
