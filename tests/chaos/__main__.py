"""`python -m tests.chaos`: one run, its summary as JSON on standard output, a table for people on standard error."""

import asyncio
import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console

from freeport.errors import StartupError
from tests.chaos.faults import FAULTS
from tests.chaos.run import Plan, run
from tests.chaos.schedule import Struck


def main(
    seed: Annotated[int, typer.Option(help="What everything is drawn from.")] = 1,
    minutes: Annotated[float, typer.Option(min=2, help="For all of it: start, faults, heal, judge.")] = 6.0,
    rate: Annotated[float, typer.Option(min=0.1, help="Orders a second.")] = 4.0,
    only: Annotated[str, typer.Option(help="Names of faults, or how they begin, separated by commas.")] = "",
    brokers: Annotated[
        int | None, typer.Option(help="One Kafka broker or three (1 or 3); by the seed unless given.")
    ] = None,
    disk: Annotated[
        str | None, typer.Option(help="Whose disk is a small one: postgres, kafka or none; by the seed unless given.")
    ] = None,
    port_base: Annotated[int | None, typer.Option(help="The first of a hundred free ports.")] = None,
    list_faults: Annotated[bool, typer.Option("--list", help="List the faults and end.")] = False,
) -> None:
    """Let faults strike the platform under load, heal it, and judge. Exit code 1 when anything is not as promised, 2 when nothing starts."""
    console = Console(stderr=True)
    if list_faults:
        for fault in sorted(FAULTS, key=lambda fault: (fault.row, fault.name)):
            console.print(f"{fault.row:>2}  {fault.name:<32} {'always ' if fault.always else '       '} {fault.says}")
        return
    names = tuple(name for name in only.split(",") if name)
    plan = Plan.drawn(seed, brokers=brokers, disk=disk, minutes=minutes, rate=rate, only=names, port_base=port_base)
    console.print(f"{plan.command}: {', '.join(sorted(plan.features))}", highlight=False)
    try:
        summary = asyncio.run(run(plan, lambda struck: console.print(told(struck), markup=False, highlight=False)))
    except StartupError as error:
        console.print(f"{error.what}: {error.why}\n{error.fix}", markup=False, highlight=False)
        sys.exit(2)
    summary.print(console)
    sys.stdout.buffer.write(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    sys.exit(0 if summary.ok else 1)


def told(struck: Struck) -> str:
    """A line about a fault that is over."""
    return f"{struck.began_s:>4.0f} s  {struck.name}: {struck.bit or 'NO EFFECT: ' + struck.why}"


if __name__ == "__main__":
    typer.run(main)
