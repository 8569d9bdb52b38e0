"""Sizes of files and functions of the hand-written code: a report for review, never a gate."""

import ast
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).parent.parent
AREAS = ("services", "shared", "freeport", "console", "tests")


def main() -> None:
    print(f"{'area':<10} {'files':>6} {'lines':>7} {'file med/p90/max':>18} {'function med/p90/max':>22}")
    for area in AREAS:
        files = [path for path in (ROOT / area).rglob("*.py") if "migrations" not in path.parts]
        if files:
            _report(area, files)


def _report(area: str, files: list[Path]) -> None:
    sizes = {path: len(path.read_text().splitlines()) for path in files}
    functions = [length for path in files for length in _function_lengths(path)]
    print(
        f"{area:<10} {len(files):>6} {sum(sizes.values()):>7} {_spread(list(sizes.values())):>18} {_spread(functions):>22}"
    )
    for path in sorted(sizes, key=lambda path: -sizes[path])[:5]:
        print(f"    {sizes[path]:>5} {path.relative_to(ROOT)}")


def _function_lengths(path: Path) -> list[int]:
    nodes = ast.walk(ast.parse(path.read_text()))
    return [
        (node.end_lineno or node.lineno) - node.body[0].lineno + 1
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def _spread(lengths: list[int]) -> str:
    if len(lengths) < 2:
        return "-"
    return f"{median(lengths):.0f} / {quantiles(lengths, n=10)[-1]:.0f} / {max(lengths)}"


if __name__ == "__main__":
    main()
