"""The command line of the connected channels: `freeport channels status | resync | offers`, over inventory's API."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from freeport.api import Api, Problem
from freeport.errors import StartupError
from freeport.layout import Home
from freeport.platform import Platform

T = TypeVar("T")
_PATIENCE_S = 3.0
_LOOK_EVERY_S = 0.2
_NARROWEST = 120  # of a table where there is no terminal to fit it into
_SHOWN = 10  # differences on the screen; --json has a hundred

channels = typer.Typer(
    help="Connected channels: how they answer, what they are offered, and whether both sides agree.",
    no_args_is_help=True,
)
out = Console()

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
KeyOption = Annotated[
    str,
    typer.Option("--key", envvar="FREEPORT_KEY", help="The store's API key; the platform's test key unless given."),
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The channel.")]


@channels.command()
def status(home: HomeOption = None, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """How every connected channel answers. Exit code 1 when one is late or fenced."""

    async def look(desk: "Channels") -> list[dict[str, Any]]:
        return await desk.feeds()

    feeds = _at(home, key, look)
    if as_json:
        _print_json({"channels": feeds})
    elif not feeds:
        out.print("No channel is connected: FREEPORT_CHANNELS_FILE names them.", highlight=False)
    else:
        _console().print(_table(feeds), highlight=False)
    if any(feed["connected"] and feed["state"] != "open" for feed in feeds):
        raise typer.Exit(1)


@channels.command()
def resync(
    name: NameArgument,
    home: HomeOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell the difference.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the end; it goes on without you.")] = 60.0,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Compare all that the channel shows with what it acknowledged; what differs is told again, until both sides are equal.

    Exit code 1 when they differ, or it is not finished in time.
    """

    async def go(desk: "Channels") -> dict[str, Any]:
        return await desk.resync(name, dry_run=dry_run, wait=wait)

    found = _at(home, key, go)
    if as_json:
        _print_json(found)
    else:
        _tell(found)
    if not found["equal"]:
        raise typer.Exit(1)


@channels.command()
def offers(
    name: NameArgument,
    home: HomeOption = None,
    state: Annotated[Literal["all", "pending", "refused"], typer.Option(help="Which.")] = "pending",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many at most.")] = 50,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """What the channel shall show of each SKU, and what it has acknowledged."""

    async def look(desk: "Channels") -> dict[str, Any]:
        return await desk.offers(name, state, limit)

    page = _at(home, key, look)
    if as_json:
        _print_json({"offers": page["data"], "more": page["has_more"]})
        return
    if not page["data"]:
        out.print(
            f"No offer of {name} is {state}." if state != "all" else f"{name} is offered nothing.", highlight=False
        )
        return
    table = _columns("sku", "shall show", "acknowledged", "waits for", "refused")
    for offer in page["data"]:
        shall = str(offer["quantity"])
        if offer["quantity"] != offer["wanted"]:
            shall += f" (fenced, {offer['wanted']} without)"
        refused = ": ".join(part for part in (offer["refused_code"], offer["refused_detail"]) if part)
        known = "-" if offer["acknowledged_quantity"] is None else str(offer["acknowledged_quantity"])
        table.add_row(offer["sku"], shall, known, _age(offer["pending_since"]), Text(refused, style="red"))
    _console().print(table, highlight=False)
    if page["has_more"]:
        out.print(f"There are more than {limit}: --limit, or --json.", highlight=False)


class Channels:
    """The channels of one store, over inventory's API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def feeds(self) -> list[dict[str, Any]]:
        """How each answers."""
        return (await self._api.get("inventory", "/v1/channel-feeds"))["data"]

    async def offers(self, name: str, state: str, limit: int) -> dict[str, Any]:
        """The first page of what it is offered."""
        return await self._api.get("inventory", f"/v1/channels/{name}/offers", state=state, limit=limit)

    async def resync(self, name: str, *, dry_run: bool, wait: float) -> dict[str, Any]:
        """Ask for a comparison, and look until it has covered what was asked, or `wait` seconds are over; the last look."""
        answer = await self._api.post("inventory", f"/v1/channels/{name}/resync", {"dry_run": dry_run})
        found: dict[str, Any] = answer.body
        until = time.monotonic() + wait
        while found["state"] != "finished" and time.monotonic() < until:
            await asyncio.sleep(_LOOK_EVERY_S)
            found = await self._api.get("inventory", f"/v1/channels/{name}/resync", dry_run=str(dry_run).lower())
        return found


def _at(home: Path | None, key: str, do: Callable[[Channels], Awaitable[T]]) -> T:
    platform = Platform.load(None if home is None else home.absolute())
    urls = platform.addresses()["services"]
    if "inventory" not in urls:
        raise StartupError("Inventory does not run here", why=f"these run: {', '.join(urls)}", fix="`freeport up`")

    async def run() -> T:
        async with Api.opened(urls, key or platform.test_key, patience=_PATIENCE_S) as api:
            return await do(Channels(api))

    return _with_plain_errors(run(), platform.home)


def _with_plain_errors(work: Coroutine[Any, Any, T], home: Home) -> T:
    try:
        return asyncio.run(work)
    except TimeoutError as error:
        raise StartupError("Inventory gives no answer", why=str(error), fix="`freeport status`") from error
    except Problem as problem:
        fixes = {
            "channel.not_found": "`freeport channels status` lists them",
            "channel.not_connected": "name it in the file of FREEPORT_CHANNELS_FILE, then `freeport down`, `freeport up`",
            "auth.unknown_key": "--key with a key of the store",
        }
        fix = fixes.get(problem.code, f"See {home.log('inventory')}")
        raise StartupError("Inventory refused", why=str(problem), fix=fix) from problem


# ── Printing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _console() -> Console:
    return out if out.is_terminal else Console(width=max(out.width, _NARROWEST))


def _columns(*names: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, overflow="fold")
    return table


def _table(feeds: Sequence[Mapping[str, Any]]) -> Table:
    table = _columns("channel", "state", "for", "behind by", "lag", "offers", "pending", "refused", "last failure")
    for feed in feeds:
        state = feed["state"] if feed["connected"] else "not connected"
        style = {"open": "green", "late": "yellow", "fenced": "red"}.get(state, "dim")
        table.add_row(
            feed["channel"],
            Text(state, style=style),
            _age(feed["since"]),
            f"{feed['delay_s']:.0f} s" if feed["state"] != "open" else "-",
            f"{feed['lag_s']:.0f} s",
            *(str(feed[name]) for name in ("offers", "pending", "refused")),
            Text(feed["error"]),
        )
    return table


def _tell(found: Mapping[str, Any]) -> None:
    what = "dry run" if found["dry_run"] else "resync"
    name, read = found["channel"], f"{found['pages']} pages read, {found['differences']} differences found"
    for one in found["first"][:_SHOWN]:
        shown = "not there" if one["theirs"] is None else one["theirs"]
        out.print(f"  {one['sku']}: theirs {shown}, ours {one['ours']}", highlight=False)
    if found["differences"] > _SHOWN:
        out.print(f"  and {found['differences'] - min(_SHOWN, len(found['first']))} more", highlight=False)
    if found["state"] != "finished":
        error = f" ({found['error']})" if found["error"] else ""
        out.print(f"… {name}: the {what} is {found['state']}, {read}{error}; it goes on by itself", highlight=False)
    elif found["equal"]:
        out.print(f"[green]✓[/] {name}: both sides are equal, {read}", highlight=False)
    else:
        refused = f", {found['refused']} that it refuses" if found["refused"] else ""
        out.print(f"[red]✗[/] {name}: {found['still_different']} SKUs differ{refused}, {read}", highlight=False)


def _age(since: str | None) -> str:
    if since is None:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    minutes, hours = seconds // 60, seconds // 3600
    if hours < 1:
        return f"{minutes} m"
    return f"{hours} h {minutes % 60} m" if hours < 48 else f"{hours // 24} d"


def _print_json(value: Any) -> None:
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode() + "\n")
