"""The command line of the dead letters: `freeport dlq list | show | redrive | park | actions`, over all services."""

import asyncio
import getpass
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
_LETTERS = "/internal/v1/dead-letters"
_ACTIONS = "/internal/v1/operator-actions"
_PATIENCE_S = 3.0
_LOOK_EVERY_S = 0.2
_NARROWEST = 120  # of a table where there is no terminal to fit it into

dlq = typer.Typer(help="Dead letters: messages that could not be decided, in all services.", no_args_is_help=True)
out = Console()
err = Console(stderr=True)

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout)."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
ServiceOption = Annotated[str, typer.Option("--service", help="Of this service alone.")]
TopicOption = Annotated[str, typer.Option("--topic", help="Of this topic; of deadlines and calls their kind.")]
KeyOption = Annotated[str, typer.Option("--key", help="Of this key, for example an order's id.")]
AsOption = Annotated[str, typer.Option("--as", help="Your name for the book of actions; your login unless given.")]


@dlq.command("list")
def list_letters(
    home: HomeOption = None,
    service: ServiceOption = "",
    state: Annotated[Literal["open", "redriven", "parked"], typer.Option(help="Which.")] = "open",
    topic: TopicOption = "",
    key: KeyOption = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many of each service at most.")] = 50,
    ids: Annotated[
        bool, typer.Option("--ids", "-q", help="Print the IDs alone, for another command's arguments.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What could not be decided: since when, why, and how much waits behind it."""

    async def look(desk: "Letters") -> "Found":
        return await desk.listed(state=state, topic=topic, key=key, limit=limit)

    found = _at(home, look, service=service)
    letters = found.items
    if as_json:
        _print_json({"letters": letters, "silent": found.silent, "more": found.more})
        return
    _warn_of(found)
    if ids:
        sys.stdout.writelines(f"{letter['id']}\n" for letter in letters)
        return
    if not letters:
        out.print(f"No dead letter is {state}{' here' if service or topic or key else ''}.", highlight=False)
        return
    _console().print(_table(letters), highlight=False)
    if state == "open":
        out.print("[dim]freeport dlq show ID | redrive ID… | park ID --reason …[/]", highlight=False)


@dlq.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="As `freeport dlq list` prints it.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """One letter with its payload, its headers, and what was done to it."""

    async def look(desk: "Letters") -> tuple[dict[str, Any], list[dict[str, Any]]]:
        letter = await desk.find(letter_id)
        return letter, await desk.done_to(letter)

    letter, done = _at(home, look)
    if as_json:
        _print_json({**letter, "actions": done})
        return
    _console().print(_card(letter, done), highlight=False)
    if letter["state"] == "open":
        _print_choices(letter)


@dlq.command()
def redrive(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID…", help="Which; or --all with a filter.")
    ] = None,
    home: HomeOption = None,
    every: Annotated[bool, typer.Option("--all", help="All open ones that fit what follows.")] = False,
    service: ServiceOption = "",
    topic: TopicOption = "",
    key: KeyOption = "",
    error: Annotated[str, typer.Option("--error", help="With --all: whose error contains this.")] = "",
    since: Annotated[str, typer.Option("--since", help="With --all: open since then: 90m, 12h, 3d, RFC 3339.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why, for the book of actions.")] = "",
    operator: AsOption = "",
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for what becomes of it.")] = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Let letters be decided again, each before everything that waits behind it.

    Exit code 1 when one could not be redriven, failed again, or is not decided yet.
    """
    chosen = {"topic": topic, "key": key, "error_contains": error, "since": _moment(since)}
    if every == bool(letter_ids) or (every and not any(chosen.values())):
        raise StartupError(
            "Which letters?",
            why="a redrive of all needs --topic, --key, --error or --since"
            if every
            else "neither an ID nor --all was given"
            if not letter_ids
            else "an ID and --all exclude each other",
            fix="`freeport dlq redrive ID`, or `freeport dlq redrive --all --topic orders.order.v1`",
        )
    act = _act(operator, reason)

    async def go(desk: "Letters") -> list["Outcome"]:
        if every:
            return await desk.redrive_many({name: value for name, value in chosen.items() if value}, act, wait)
        return [await desk.redrive(letter, act, wait) for letter in await desk.find_all(letter_ids or ())]

    _tell(_at(home, go, service=service), as_json=as_json)


@dlq.command()
def park(
    letter_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Which.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it may be given up; kept for ever.")],
    home: HomeOption = None,
    operator: AsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give letters up: they never take effect, and what waits behind them goes on without them."""
    if not reason.strip():
        raise StartupError("A reason is needed", why="a parked letter is lost for its service", fix='--reason "…"')
    act = _act(operator, reason)

    async def go(desk: "Letters") -> list["Outcome"]:
        return [await desk.park(letter, act) for letter in await desk.find_all(letter_ids)]

    _tell(_at(home, go), as_json=as_json)


@dlq.command()
def actions(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Of this letter alone.")] = "",
    home: HomeOption = None,
    service: ServiceOption = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many of each service at most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Who did what, when and why; newest first."""

    async def look(desk: "Letters") -> "Found":
        return await desk.actions(letter_id, limit)

    found = _at(home, look, service=service)
    if as_json:
        _print_json({"actions": found.items, "silent": found.silent, "more": found.more})
        return
    _warn_of(found)
    if not found.items:
        out.print("Nobody has done anything yet.")
        return
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column, whole in (("when", 20), ("letter", 30), ("service", 9), ("who", 0), ("what", 0), ("reason", 0)):
        table.add_column(column, no_wrap=whole > 0, min_width=whole or None, overflow="fold")
    for action in found.items:
        what, why = action["action"].removeprefix("dead_letter."), action["reason"]
        if action["outcome"] != "done":
            what, why = f"{what}, refused", f"{why} ({action['outcome']})".strip()
        who = action["operator"] or action["actor"]
        table.add_row(_when(action["at"]), action["subject"], action["service"], Text(who), what, Text(why))
    _console().print(table, highlight=False)


# ── The letters of all services ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action on a letter. `result` is decided, parked, failed_again, pending, no_answer, or a refusal's code."""

    id: str
    service: str
    result: str
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.result in ("decided", "parked")


@dataclass(frozen=True, slots=True)
class Found:
    """What the services have; those that gave no answer, and those that have more than was asked for."""

    items: list[dict[str, Any]]
    silent: list[str]
    more: list[str]


class Letters:
    """The dead letters of the services of a running platform, over their APIs with the operator's key."""

    def __init__(self, api: Api, services: Sequence[str]) -> None:
        self._api = api
        self._services = services

    async def listed(self, *, limit: int, **filters: str) -> Found:
        """The newest of each service, oldest first: what has waited longest is looked at first."""
        found = await self._ask_all(_LETTERS, limit=limit, **filters)
        found.items.sort(key=lambda letter: (letter["failed_at"], letter["id"]))
        return found

    async def actions(self, letter_id: str, limit: int) -> Found:
        """The newest of each service, newest first."""
        found = await self._ask_all(_ACTIONS, limit=limit, subject=letter_id)
        found.items.sort(key=lambda action: (action["at"], action["id"]), reverse=True)
        return found

    async def done_to(self, letter: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What was done to a letter, newest first."""
        return (await self._api.get(letter["service"], _ACTIONS, subject=letter["id"]))["data"]

    async def find(self, letter_id: str) -> dict[str, Any]:
        """The letter, wherever it is. Raises StartupError."""
        answers = await asyncio.gather(*(self._look_in(service, letter_id) for service in self._services))
        for answer in answers:
            if isinstance(answer, dict):
                return answer
        silent = [service for service, answer in zip(self._services, answers, strict=True) if answer is None]
        raise StartupError(
            f"There is no dead letter {letter_id}",
            why=f"{', '.join(silent)} gave no answer, and the others do not have it" if silent else "no service has it",
            fix="`freeport status`" if silent else "`freeport dlq list` shows those that are open",
        )

    async def find_all(self, letter_ids: Sequence[str]) -> list[dict[str, Any]]:
        """The letters, before anything is done to one of them: a mistyped one stops the others. Raises StartupError."""
        return [await self.find(letter_id) for letter_id in letter_ids]

    async def redrive(self, letter: Mapping[str, Any], act: Mapping[str, str], wait: float) -> Outcome:
        """Redrive it and wait for what becomes of it."""
        letter_id, service = letter["id"], letter["service"]
        try:
            await self._api.post(service, f"{_LETTERS}/{letter_id}/redrive", act)
        except Problem as problem:
            return _refused(letter_id, service, problem)
        return await self._await(letter_id, service, _now() + timedelta(seconds=wait))

    async def redrive_many(self, chosen: Mapping[str, str], act: Mapping[str, str], wait: float) -> list[Outcome]:
        """Redrive all that fit, batch after batch, in every service; and wait for what becomes of them."""
        outcomes: list[Outcome] = []
        redriven: list[tuple[str, str]] = []
        for service in self._services:
            after: str | None = None
            while True:
                body = {**chosen, **act, "limit": 200, "after": after}
                try:
                    answer = (await self._api.post(service, f"{_LETTERS}:redrive", body)).body
                except (Problem, TimeoutError) as trouble:  # the others' letters are redriven, and told of
                    outcomes.append(Outcome("all", service, "no_answer", str(trouble)))
                    break
                redriven += [(letter_id, service) for letter_id in answer["redriven"]]
                outcomes += [Outcome(no["id"], service, no["code"], no["detail"]) for no in answer["refused"]]
                after = answer["next"]
                if after is None:
                    break
        until = _now() + timedelta(seconds=wait)
        return outcomes + [await self._await(letter_id, service, until) for letter_id, service in redriven]

    async def park(self, letter: Mapping[str, Any], act: Mapping[str, str]) -> Outcome:
        """Give it up."""
        letter_id, service = letter["id"], letter["service"]
        try:
            await self._api.post(service, f"{_LETTERS}/{letter_id}/park", act)
        except Problem as problem:
            return _refused(letter_id, service, problem)
        waited = letter["waiting"]["count"]
        return Outcome(letter_id, service, "parked", f"{waited} that waited behind it go on" if waited else "")

    async def _await(self, letter_id: str, service: str, until: datetime) -> Outcome:
        while True:
            letter = await self._api.get(service, f"{_LETTERS}/{letter_id}")
            if letter["decided"]:
                return Outcome(letter_id, service, "decided")
            if letter["state"] == "open":
                return Outcome(letter_id, service, "failed_again", f"{letter['error']} ({letter['attempts']} tries)")
            if letter["state"] == "parked":
                return Outcome(letter_id, service, "parked", f"somebody gave it up meanwhile: {letter['reason']}")
            if _now() >= until:
                return Outcome(letter_id, service, "pending", "it waits for its turn, or its service is busy or down")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look_in(self, service: str, letter_id: str) -> dict[str, Any] | Literal[False] | None:
        try:
            return await self._api.get(service, f"{_LETTERS}/{letter_id}")
        except Problem as problem:
            if problem.status == 404:
                return False
            raise
        except TimeoutError:
            return None

    async def _ask_all(self, path: str, **query: Any) -> Found:
        found = Found([], [], [])

        async def ask(service: str) -> None:
            try:
                page = await self._api.get(service, path, **query)
            except TimeoutError:
                found.silent.append(service)
                return
            found.items.extend({**item, "service": service} for item in page["data"])
            if page["has_more"]:
                found.more.append(service)

        await asyncio.gather(*(ask(service) for service in self._services))
        return found


def _refused(letter_id: str, service: str, problem: Problem) -> Outcome:
    clears = problem.body.get("clears_with")
    return Outcome(letter_id, service, problem.code, problem.detail + (f"; it takes {clears}" if clears else ""))


def _at(home: Path | None, do: Callable[[Letters], Awaitable[T]], *, service: str = "") -> T:
    platform = Platform.load(None if home is None else home.absolute())
    urls, key = platform.addresses()["services"], platform.operator_key
    if service and service not in urls:
        raise StartupError(
            f"There is no service {service} here", why=f"these run: {', '.join(urls)}", fix="one of them"
        )

    async def run() -> T:
        async with Api.opened(urls, key, patience=_PATIENCE_S) as api:
            return await do(Letters(api, [service] if service else list(urls)))

    return _with_plain_errors(run(), platform.home)


def _with_plain_errors(work: Coroutine[Any, Any, T], home: Home) -> T:
    try:
        return asyncio.run(work)
    except TimeoutError as error:
        raise StartupError("A service gives no answer", why=str(error), fix="`freeport status`") from error
    except Problem as problem:
        fix = (
            "`freeport down`, then `freeport up`"
            if problem.status in (401, 403, 404)
            else f"See {home.log('…').parent}"
        )
        raise StartupError("A service refused", why=str(problem), fix=fix) from problem


def _act(operator: str, reason: str) -> dict[str, str]:
    act = {"operator": operator.strip() or getpass.getuser(), "reason": reason.strip()}
    return {name: value for name, value in act.items() if value}


_AGO = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _moment(since: str) -> str:
    """An RFC 3339 moment; of `90m`, `12h` or `3d` that long ago. Raises StartupError."""
    if not since:
        return ""
    if ago := _AGO.fullmatch(since):
        return (_now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})).isoformat()
    try:
        moment = datetime.fromisoformat(since)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise StartupError(
            f"--since {since} is no moment",
            why="it has no zone, or no form that is known",
            fix="3d, 12h, 90m or 2026-11-24T09:00:00Z",
        )
    return moment.isoformat()


def _now() -> datetime:
    return datetime.now(UTC)


# ── Printing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _console() -> Console:
    return out if out.is_terminal else Console(width=max(out.width, _NARROWEST))


def _table(letters: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("letter", no_wrap=True)
    table.add_column("open for" if letters[0]["state"] == "open" else "failed ago", no_wrap=True)
    table.add_column("waiting", justify="right", no_wrap=True)
    table.add_column("message and reason", overflow="fold")
    for letter in letters:
        what = Text(f"{letter['service']}: {_place(letter)}\n")
        what.append(_short(letter["error"]), style="red" if letter["state"] == "open" else "")
        if letter["reason"]:
            what.append(f"\n{letter['state']}: {letter['reason']}", style="dim")
        table.add_row(letter["id"], _age(letter["failed_at"]), str(letter["waiting"]["count"] or "-"), what)
    return table


def _card(letter: Mapping[str, Any], done: Sequence[Mapping[str, Any]]) -> Table:
    card = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    card.add_column(style="dim", no_wrap=True)
    card.add_column(overflow="fold")
    for name, value in _lines(letter):
        card.add_row(name, Text(value))
    for action in reversed(done):
        what = action["action"].removeprefix("dead_letter.")
        text = f"{_when(action['at'])} {action['operator'] or action['actor']}: {what}"
        text += f" ({action['reason']})" if action["reason"] else ""
        card.add_row("done", Text(text if action["outcome"] == "done" else f"{text}: refused, {action['outcome']}"))
    for name, value in sorted(letter["headers"].items()):
        card.add_row(name, Text(value))
    card.add_row("payload", Text(_pretty(letter["payload"])))
    hidden = letter["payload_bytes"] - len(letter["payload"].encode())
    if hidden > 0:
        card.add_row("", Text(f"… and {hidden:,} bytes more"))
    return card


def _lines(letter: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("letter", letter["id"]),
        ("state", letter["state"] + (f": {letter['reason']}" if letter["reason"] else "") + _decided(letter)),
        ("where", f"{letter['service']}, {letter['source']}"),
        ("message", _place(letter) + (f" ({letter['event_type']})" if letter["event_type"] else "")),
        ("reason", letter["error"]),
        ("first failed", _when(letter["first_failed_at"])),
        ("open since", f"{_when(letter['failed_at'])} ({_age(letter['failed_at'])})"),
        ("attempts", str(letter["attempts"])),
    ]
    if letter["copied"] and letter["state"] == "open":
        lines.append(("copy", "an event with its sequence came once more: a redrive decides that copy"))
    return [*lines, ("waiting", _followers(letter))] if letter["state"] == "open" else lines


def _decided(letter: Mapping[str, Any]) -> str:
    if letter["state"] != "redriven":
        return ""
    return ", and decided since" if letter["decided"] else ", and not decided yet"


def _place(letter: Mapping[str, Any]) -> str:
    sequence = f" #{letter['sequence']}" if letter["sequence"] else ""
    return f"{letter['topic']} {letter['key']}{sequence}"


def _followers(letter: Mapping[str, Any]) -> str:
    waiting = letter["waiting"]
    if not waiting["count"]:
        return "nothing waits behind it"
    places = f"#{waiting['first_sequence']} to #{waiting['last_sequence']}"
    return (
        f"{waiting['count']} of its key wait behind it, {places}"
        if waiting["count"] > 1
        else f"1 of its key waits behind it, #{waiting['first_sequence']}"
    )


def _print_choices(letter: Mapping[str, Any]) -> None:
    if letter["source"] != "record":
        out.print(
            f"[dim]when the cause is gone:   freeport dlq redrive {letter['id']}[/]", highlight=False, soft_wrap=True
        )
    out.print(
        f'[dim]to go on without it:      freeport dlq park {letter["id"]} --reason "…"[/]',
        highlight=False,
        soft_wrap=True,
    )


def _tell(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print what came of each; exit code 1 when one is not done."""
    if as_json:
        _print_json([{"id": o.id, "service": o.service, "result": o.result, "detail": o.detail} for o in outcomes])
    else:
        for outcome in outcomes:
            out.print(Text.assemble(*_line(outcome)), highlight=False, soft_wrap=True)
        if not outcomes:
            out.print("No open letter fits.")
    if not all(outcome.ok for outcome in outcomes):
        raise typer.Exit(1)


def _line(outcome: Outcome) -> list[str | tuple[str, str]]:
    marks = {"decided": ("✓ ", "green"), "parked": ("✓ ", "green"), "pending": ("… ", "yellow")}
    words = outcome.result.replace("_", " ") if outcome.result in ("failed_again", "no_answer") else outcome.result
    detail = f": {outcome.detail}" if outcome.detail else ""
    return [marks.get(outcome.result, ("✗ ", "bold red")), f"{outcome.id} {outcome.service}: {words}{detail}"]


def _warn_of(found: Found) -> None:
    if found.silent:
        told = f"No answer from {', '.join(found.silent)}: what they have is not shown."
        err.print(told, style="yellow", highlight=False, soft_wrap=True)
    if found.more:
        told = f"There are more in {', '.join(found.more)}: --limit, --topic, --key or --service narrow it down."
        err.print(told, style="yellow", highlight=False, soft_wrap=True)


def _age(moment: str) -> str:
    """How long ago, in the two largest units."""
    seconds = max(0, int((_now() - datetime.fromisoformat(moment)).total_seconds()))
    for unit, size, part, small in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size} {unit} {seconds % size // small} {part}"
    return f"{seconds} s"


def _when(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _short(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def _pretty(payload: str) -> str:
    try:
        return orjson.dumps(orjson.loads(payload), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return payload


def _print_json(value: Any) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
    sys.stdout.flush()
