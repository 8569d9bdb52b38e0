"""The command line of the replay."""

import asyncio
import sys
import time
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated

import httpx
import orjson
import pycountry
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from freeport.api import Api, Problem
from freeport.errors import StartupError
from freeport.platform import Platform
from freeport.replay.driver import Listener, Options, ParcelClock, Played, Replay, Stalled
from freeport.replay.export import ExportError, read_file
from freeport.replay.goods import GIFTWARE, GoodsError, load_goods
from freeport.replay.lines import judge, select
from freeport.replay.payloads import warehouse_code
from freeport.replay.plan import Plan, make_plan
from freeport.replay.report import make_report


def replay(
    file: Annotated[
        Path, typer.Argument(help="An order export: CSV, gzip or not, with the columns of UCI Online Retail.")
    ],
    stock_factor: Annotated[str, typer.Option(help="Stock of each SKU: so many times the units demanded.")] = "1",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many invoices.")] = None,
    since: Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="From this day on.")] = None,
    until: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="To this day, included.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Orders a second at most; 0 is as fast as can be.")] = 0,
    goods: Annotated[Path, typer.Option(help="What words of a description tell about goods (TOML).")] = GIFTWARE,
    origin: Annotated[str, typer.Option(help="Where goods come from that do not say; empty: unknown.")] = "CN",
    weight: Annotated[int, typer.Option(min=0, help="Grams of goods that do not say; 0: unknown.")] = 300,
    warehouse: Annotated[str, typer.Option(help="The country of the warehouse that the stock goes into.")] = "GB",
    country: Annotated[
        list[str] | None, typer.Option(help="A country's name in the file and its ISO code: 'Channel Islands=GG'.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option("--home", help="The platform's directory (FREEPORT_HOME; .freeport in the checkout).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON.")] = False,
) -> None:
    """Sell the orders of an export again, through the whole platform, and account for every line and penny.

    Run it again and it goes on where it was, or changes nothing. Exit code 1 when the account does not balance.
    """
    platform = Platform.load(home)
    began = time.monotonic()
    try:
        entries = load_goods(goods, origin=_iso(origin) if origin else "", weight_grams=weight)
        rows = judge(read_file(file), _countries(country or []))
        chosen = select(rows, since.date() if since else None, until.date() if until else None, limit)
        plan = make_plan(chosen, entries, _factor(stock_factor))
        options = Options(
            warehouse=warehouse_code(_iso(warehouse), plan.articles, _factor(stock_factor)),
            country=warehouse,
            rate=rate,
        )
        played = _play(platform, plan, options)
    except (ExportError, GoodsError, OSError) as error:
        raise StartupError(
            "The replay cannot read its input", why=str(error), fix="docs/replay.md tells the form"
        ) from error
    except (Stalled, Problem, TimeoutError) as error:
        raise StartupError(
            "The replay did not come to its end",
            why=str(error),
            fix="Look at `freeport status`, then run it again: it goes on there",
        ) from error
    report = make_report(plan, played, time.monotonic() - began)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        report.print(Console())
    if not report.ok:
        raise typer.Exit(1)


def _play(platform: Platform, plan: Plan, options: Options) -> Played:
    with Progress(
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        stages: dict[str, TaskID] = {}

        def listen(stage: str, done: int, total: int) -> None:
            if stage not in stages:
                stages[stage] = bar.add_task(stage, total=total)
            bar.update(stages[stage], completed=done, total=total)

        return asyncio.run(_run(platform, plan, options, listen))


async def _run(platform: Platform, plan: Plan, options: Options, listen: Listener) -> Played:
    async with Api.opened(platform.urls, platform.test_key) as api:
        return await Replay(plan, api, options, listen, carrier_clock(platform)).run()


def carrier_clock(platform: Platform) -> ParcelClock | None:
    """Lets hours pass at the sandbox carrier: a parcel's days in a moment. None where there is no sandbox."""
    url = platform.urls.get("carrier")
    if url is None:
        return None

    async def advance(hours: int) -> None:
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as http:
            headers = {"Authorization": f"Bearer {platform.secrets.carrier_key}"}
            answer = await http.post(f"{url}/clock/advance", json={"hours": hours}, headers=headers)
            answer.raise_for_status()

    return advance


def _factor(text: str) -> Decimal:
    try:
        factor = Decimal(text)
    except InvalidOperation:
        factor = Decimal(-1)
    if not 0 <= factor <= 1000:
        raise typer.BadParameter(f"'{text}' is not a number from 0 to 1000", param_hint="--stock-factor")
    return factor


def _iso(code: str) -> str:
    if pycountry.countries.get(alpha_2=code) is None:
        raise typer.BadParameter(f"'{code}' is not an ISO 3166-1 alpha-2 country code")
    return code


def _countries(pairs: list[str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for pair in pairs:
        name, separator, code = pair.rpartition("=")
        if not separator:
            raise typer.BadParameter(f"'{pair}' is not NAME=CODE", param_hint="--country")
        named[" ".join(name.split()).casefold()] = _iso(code)
    return named
