"""What a replay came to: for people a table, for programs JSON."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from freeport.replay.account import Account, Amount, Bucket, Total
from freeport.replay.driver import Played, units_sold
from freeport.replay.plan import Plan
from freeport.replay.returning import Fate
from freeport.replay.settle import settle

SHOWN = 10  # unusable lines that the table spells out


@dataclass(frozen=True, slots=True)
class Report:
    """The account of the file, the units, and what became of the orders. Amounts are in pence."""

    account: Account
    sold: int
    oversold: int
    orders: Counter[str]
    holds: Counter[str]
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether every line has its end, in every country, and no unit was sold that was not there."""
        totals = (self.account.total, *self.account.countries.values())
        return all(total.balanced for total in totals) and not self.oversold

    def as_json(self) -> dict[str, Any]:
        return {
            **self.account.as_json(),
            "units": {"sold": self.sold, "oversold": self.oversold},
            "orders": dict(sorted(self.orders.items())),
            "held_by_code": dict(sorted(self.holds.items())),
            "seconds": round(self.seconds, 1),
        }

    def print(self, console: Console) -> None:
        console.print(_account_table(self.account), highlight=False)
        for code, amount in sorted(self.account.rejected.items()):
            console.print(f"rejected: {code}: {_amount(amount)}", highlight=False)
        for code, count in self.holds.most_common():
            console.print(f"accepted and held: {code}: {count:,} orders", highlight=False)
        self._print_unusable(console)
        balance = "[green]balanced[/]" if self.account.total.balanced else "[bold red]not balanced[/]"
        units = (
            f"{self.sold:,} units sold, "
            + ("none" if not self.oversold else f"[bold red]{self.oversold:,}[/]")
            + " above stock"
        )
        console.print(f"{balance}; {units}; {self.seconds:.0f} s", highlight=False)

    def _print_unusable(self, console: Console) -> None:
        unusable = sorted(self.account.unusable)
        if not unusable:
            return
        console.print(f"unusable: {len(unusable):,} lines", highlight=False)
        for why, count in Counter(why for _, why in unusable).most_common(SHOWN):
            first = next(number for number, reason in unusable if reason == why)
            console.print(f"  {count:,} × {why} (first: line {first})", highlight=False, markup=False)


def make_report(plan: Plan, played: Played, seconds: float) -> Report:
    """Settle every line by what the platform decided, and hold what was sold against what there was."""
    account = settle(plan, played.decisions, played.returns)
    sold = units_sold(plan, played.decisions)
    stock = {article.sku: article.stock for article in plan.articles} | played.received
    holds = Counter(hold["code"] for order in played.orders.values() for hold in order["holds"])
    orders = Counter(str(order["status"]) for order in played.orders.values())
    orders["held"] = sum(bool(order["holds"]) for order in played.orders.values())
    orders["refused_at_the_door"] = len(played.decisions) - len(played.orders)
    orders["dispatched"] = sum(decision.fate is Fate.SENT for decision in played.decisions.values())
    return Report(
        account=account,
        sold=sold.total(),
        oversold=sum(max(0, units - stock[sku]) for sku, units in sold.items()),
        orders=orders,
        holds=holds,
        seconds=seconds,
    )


def _account_table(account: Account) -> Table:
    """Pounds for each country, and the lines of all of them."""
    table = Table(
        "£",
        "read",
        *(bucket.value.replace("_", " ") for bucket in Bucket),
        "",
        box=None,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )
    for column in table.columns[1:-1]:
        column.justify = "right"
    for country in sorted(account.countries):
        table.add_row(country, *_pounds(account.countries[country]))
    table.add_row("[bold]all[/]", *_pounds(account.total))
    table.add_row(
        "[dim]lines[/]", *(f"{amount.lines:,}" for amount in (account.total.read, *account.total.ends.values()))
    )
    return table


def _pounds(total: Total) -> list[str]:
    mark = "[green]=[/]" if total.balanced else "[bold red]≠[/]"
    amounts = (total.read, *(total.ends[bucket] for bucket in Bucket))
    return [*(f"{amount.value_minor / 100:,.2f}" if amount.lines else "-" for amount in amounts), mark]


def _amount(amount: Amount) -> str:
    return f"£{amount.value_minor / 100:,.2f} in {amount.lines:,} lines"
