"""The seller's estimates of what a return costs, read once from `return_costs.toml` or from the file that is named instead."""

import tomllib
from functools import cache
from pathlib import Path

import eu_vat_rates_data

from services.support.domain.return_policy import Distance, ReturnCosts
from services.support.settings import CostSettings


@cache
def return_costs() -> ReturnCosts:
    """The table of this process, read once."""
    return read_costs(CostSettings().return_costs)


def read_costs(path: Path) -> ReturnCosts:
    """The table in that file. Raises ValueError when a currency lacks a distance or an amount is negative."""
    table: dict[str, dict[str, int]] = tomllib.loads(path.read_text("utf-8"))
    amounts = {currency: {Distance(name): amount for name, amount in row.items()} for currency, row in table.items()}
    for currency, row in amounts.items():
        if set(row) != set(Distance) or min(row.values()) < 0:
            raise ValueError(f"{path.name}: {currency} needs an amount for each of {', '.join(Distance)}")
    union = frozenset(
        country for country in eu_vat_rates_data.get_all_rates() if eu_vat_rates_data.is_eu_member(country)
    )
    return ReturnCosts(amounts=amounts, customs_union=union)
