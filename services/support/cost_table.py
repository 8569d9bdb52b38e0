"""The seller's estimates of what a return costs, read once from `return_costs.toml` or from the file that is named instead."""

import tomllib
from functools import cache
from pathlib import Path

import eu_vat_rates_data
from pydantic import NonNegativeInt, TypeAdapter

from services.support.domain.return_policy import Distance, ReturnCosts
from services.support.settings import CostSettings

_Table = TypeAdapter(dict[str, dict[Distance, NonNegativeInt]])


@cache
def return_costs() -> ReturnCosts:
    """The table of this process, read once."""
    return read_costs(CostSettings().return_costs)


def read_costs(path: Path) -> ReturnCosts:
    """The table in that file. Raises ValueError when it is not one: currencies, each with an amount for every distance."""
    try:
        table = _Table.validate_python(tomllib.loads(path.read_text("utf-8")))
    except ValueError as error:
        raise ValueError(f"{path} is no table of return costs: {error}") from error
    for currency, row in table.items():
        if missing := sorted(set(Distance) - row.keys()):
            raise ValueError(f"{path}: {currency} has no amount for {', '.join(missing)}")
    union = frozenset(
        country for country in eu_vat_rates_data.get_all_rates() if eu_vat_rates_data.is_eu_member(country)
    )
    return ReturnCosts(amounts=table, customs_union=union)
