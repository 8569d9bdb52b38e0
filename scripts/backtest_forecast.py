"""Which forecast would have been right? A back-test with rolling origins over a seller's export.

Needs statsforecast, which Freeport does not install (docs/decisions/0066-forecast-back-test.md says why and what came out):
`python -m scripts.backtest_forecast EXPORT.csv.gz` in an environment that has it and numpy beside Freeport's own sources.
"""

import importlib
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from freeport.replay.export import read_file
from freeport.replay.lines import Kind, judge

HORIZON = 28  # days: a short lead time and a week of review
ORIGINS = 5  # a week apart, the last one HORIZON days before the end
SEASON = 7
SHORTEST = 28  # days of history that a method is given at least: before its first sale a product sold nothing
ABSURD = 70_000  # units in one line: the export has one such sale, cancelled 16 minutes later
CAP_AT = 0.95  # the share of a series' own selling days whose demand is left as it is

Series = Mapping[tuple[str, str], list[float]]
"""Units a day by (SKU, country), all of one length."""


def wape(actual: Sequence[float], forecast: Sequence[float]) -> float:
    """Weighted absolute percentage error: sum |a - f| / sum a (Kolassa and Schuetz, Foresight 6, 2007). Raises ZeroDivisionError."""
    return sum(abs(a - f) for a, f in zip(actual, forecast, strict=True)) / sum(actual)


def naive_error(history: Sequence[float], season: int = SEASON) -> float:
    """What the seasonal naive forecast errs by per step within `history`: the scale of MASE. 0 where nothing changes."""
    steps = [abs(a - b) for a, b in zip(history[season:], history, strict=False)]
    return sum(steps) / len(steps) if steps else 0.0


def mase(history: Sequence[float], actual: Sequence[float], forecast: Sequence[float]) -> float | None:
    """Mean absolute scaled error (Hyndman and Koehler, IJF 22, 2006). None where the history has no scale."""
    scale = naive_error(history)
    error = sum(abs(a - f) for a, f in zip(actual, forecast, strict=True)) / len(actual)
    return error / scale if scale else None


def known_history(units: Sequence[float]) -> Sequence[float]:
    """From the first sale on, but no less than SHORTEST days."""
    first = next((day for day, sold in enumerate(units) if sold), len(units))
    return units[max(0, min(first, len(units) - SHORTEST)) :]


def cap(units: Sequence[float]) -> Sequence[float]:
    """Selling days above the series' own CAP_AT quantile are lowered to it, so that one bulk order does not become the forecast."""
    sold = sorted(day for day in units if day)
    if len(sold) < 5:
        return units
    place = (len(sold) - 1) * CAP_AT
    low = int(place)
    most = sold[low] + (place - low) * (sold[min(low + 1, len(sold) - 1)] - sold[low])
    return [min(day, most) for day in units]


def read_series(path: Path) -> Series:
    """Every day from the first to the last of the export, closed days as 0."""
    sold: dict[tuple[str, str], dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for line in judge(read_file(path)):
        if line.kind is Kind.SALE and line.quantity < ABSURD:
            sold[line.sku, line.country][line.when.date()] += line.quantity
    days = [day for by_day in sold.values() for day in by_day]
    first, last = min(days).toordinal(), max(days).toordinal()
    every = [date.fromordinal(day) for day in range(first, last + 1)]
    return {key: [float(by_day.get(day, 0)) for day in every] for key, by_day in sorted(sold.items())}


def methods() -> Mapping[str, Callable[[], Any]]:
    """The candidates, seasonal naive first. Raises ImportError without statsforecast."""
    models: Any = importlib.import_module("statsforecast.models")
    return {
        "seasonal naive": lambda: models.SeasonalNaive(SEASON),
        "mean of 28 days": lambda: models.WindowAverage(28),
        "mean of 4 weekdays": lambda: models.SeasonalWindowAverage(SEASON, 4),
        "SES 0.1": lambda: models.SimpleExponentialSmoothing(0.1),
        "TSB 0.1": lambda: models.TSB(0.1, 0.1),
        "Croston": models.CrostonClassic,
        "SBA": models.CrostonSBA,
        "ADIDA": models.ADIDA,
        "IMAPA": models.IMAPA,
    }


def judge_method(make: Callable[[], Any], series: Series, prepare: Callable[[Sequence[float]], Sequence[float]]) -> str:
    """A row of the table: WAPE by day, WAPE of the horizon's totals, mean MASE, bias."""
    numpy: Any = importlib.import_module("numpy")
    actual: list[float] = []
    forecast: list[float] = []
    totals: list[tuple[float, float]] = []
    scaled: list[float] = []
    for units in series.values():
        for origin in range(len(units) - HORIZON, len(units) - HORIZON - SEASON * ORIGINS, -SEASON):
            past, then = units[:origin], units[origin : origin + HORIZON]
            said = [0.0] * HORIZON
            if any(past):
                known = numpy.array(prepare(known_history(past)), dtype=float)
                said = [max(0.0, float(day)) for day in make().forecast(known, h=HORIZON)["mean"]]
            actual += then
            forecast += said
            totals.append((sum(then), sum(said)))
            error = mase(past, then, said)
            scaled += [] if error is None else [error]
    bias = sum(forecast) / sum(actual) - 1
    by_total = wape([was for was, _ in totals], [said for _, said in totals])
    return f"{wape(actual, forecast):.3f} | {by_total:.3f} | {sum(scaled) / len(scaled):.3f} | {bias:+.3f}"


def main(path: Path) -> None:
    """Print the table."""
    series = read_series(path)
    print(f"{len(series)} series\n| method | WAPE by day | WAPE of 28 days | MASE | bias |\n|---|---|---|---|---|")
    for name, make in methods().items():
        print(f"| {name} | {judge_method(make, series, lambda units: units)} |")
        print(f"| {name}, capped | {judge_method(make, series, cap)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
