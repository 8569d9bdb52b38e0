"""An order export goes through the whole platform: a small one with every oddity, and a part of the real one."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from freeport.audit.command import audit_platform
from freeport.layout import ROOT
from freeport.platform import Platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(500)]

REAL = ROOT.parent / "shared" / "data" / "online_retail_2010-12_2011-03.csv.gz"

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LINES = [
    "900001,ZZ-MUG,RED MUG,4,2010-12-01 08:00,2.50,1,United Kingdom",  # 2: accepted
    "900001,ZZ-MUG,RED MUG,2,2010-12-01 08:00,2.50,1,United Kingdom",  # 3: the same SKU twice
    "900001,POST,POSTAGE,1,2010-12-01 08:00,3.95,1,United Kingdom",  # 4: no merchandise
    "900002,ZZ-LAMP,LAMP,3,2010-12-01 09:00,0.125,2,Germany",  # 5: 37.5 pence are 38
    "900003,ZZ-XYZZY,XYZZY,1,2010-12-01 10:00,10.00,3,France",  # 6: no customs code: accepted and held
    "900004,ZZ-MUG,RED MUG,9,2010-12-01 11:00,2.50,4,EIRE",  # 7: more than is left: rejected
    "900005,ZZ-MUG,,0,2010-12-01 12:00,2.50,,United Kingdom",  # 8: quantity 0
    "900006,ZZ-MUG,?,-3,2010-12-01 12:00,0,,United Kingdom",  # 9: a write-off
    "900007,ZZ-MUG,RED MUG,1,2010-12-01 12:00,2.50,5,Unspecified",  # 10: no country
    "C900008,ZZ-MUG,RED MUG,-2,2010-12-02 08:00,2.50,1,United Kingdom",  # 11: returned in part
    "C900009,ZZ-MUG,RED MUG,-1,2010-12-02 08:00,2.50,9,United Kingdom",  # 12: bought before the file
    "C900010,ZZ-MUG,RED MUG,-1,2010-12-02 09:00,2.50,4,EIRE",  # 13: its order was rejected
    "C900011,ZZ-XYZZY,XYZZY,-1,2010-12-02 09:00,10.00,3,France",  # 14: held, has not left
    "C900012,POST,POSTAGE,-1,2010-12-02 09:00,3.95,1,United Kingdom",  # 15: no merchandise
]


def test_every_oddity_ends_somewhere_and_a_second_run_changes_nothing(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(gzip.compress("\n".join([HEADER, *LINES, ""]).encode()))
    # Of 15 mugs demanded seven tenths are there, rounded up: eleven. Six are sold, the nine of the next buyer are refused.
    first = replayed(platform, file, "--stock-factor", "0.7")
    assert first["total"] == {
        "read": {"lines": 14, "value_minor": 3038},
        "accepted": {"lines": 4, "value_minor": 2538},
        "rejected": {"lines": 1, "value_minor": 2250},
        "returned": {"lines": 1, "value_minor": -500},
        "not_merchandise": {"lines": 2, "value_minor": 0},
        "unusable": {"lines": 6, "value_minor": -1250},
        "balanced": True,
    }
    assert first["units"] == {"sold": 10, "oversold": 0}
    assert first["rejected_by_reason"] == {"stock.insufficient": {"lines": 1, "value_minor": 2250}}
    assert [line["line"] for line in first["unusable_lines"]] == [8, 9, 10, 12, 13, 14]
    assert first["held_by_code"] == {"customs_papers": 1}
    assert set(first["countries"]) == {"DE", "FR", "GB", "IE", "ZZ"}
    assert all(total["balanced"] for total in first["countries"].values())
    [lamps] = orders_of(platform, "900002")
    assert lamps["totals"]["total"] == {"amount": "38", "currency": "GBP"}

    again = replayed(platform, file, "--stock-factor", "0.7")
    assert without_time(again) == without_time(first)
    assert stock_of(platform, "ZZ-MUG") == 11 - 6 + 2


@pytest.mark.data
@pytest.mark.skipif(not REAL.exists(), reason=f"there is no {REAL.name} in shared/data beside the checkout")
async def test_a_part_of_the_real_export_with_too_little_stock_shows_refusals_and_no_oversell(
    platform: Platform,
) -> None:
    part = ("--from", "2010-12-06", "--limit", "150", "--stock-factor", "0.9")
    first = replayed(platform, REAL, *part)
    total = first["total"]
    assert total["balanced"]
    assert all(country["balanced"] for country in first["countries"].values())
    assert total["accepted"]["lines"] > 100
    assert total["rejected"]["lines"] > 100
    assert set(first["rejected_by_reason"]) == {"stock.insufficient"}
    assert first["units"]["sold"] > 0
    assert first["units"]["oversold"] == 0
    assert without_time(replayed(platform, REAL, *part)) == without_time(first)
    verdicts = await audit_platform(platform, wait=60)
    assert {verdict.name: verdict.violations for verdict in verdicts if not verdict.ok} == {}


def test_a_file_that_is_no_export_is_told_in_words(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("dear diary\n")
    done = freeport_replay(platform, file)
    assert done.returncode == 1
    assert "the header names no InvoiceNo" in done.stderr
    assert "Traceback" not in done.stderr


def replayed(platform: Platform, file: Path, *options: str) -> dict[str, Any]:
    done = freeport_replay(platform, file, *options, "--json")
    assert done.returncode == 0, done.stderr or done.stdout
    return json.loads(done.stdout)


def freeport_replay(platform: Platform, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "freeport", "replay", str(file), *options)
    place = ("--home", str(platform.home.directory))
    return subprocess.run((*command, *place), cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def orders_of(platform: Platform, invoice: str) -> list[dict[str, Any]]:
    return _get(platform, "orders", f"/v1/orders?external_id={invoice}")["data"]


def stock_of(platform: Platform, sku: str) -> int:
    return int(_get(platform, "inventory", f"/v1/stock/{sku}")["on_hand"])


def _get(platform: Platform, service: str, path: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {platform.test_key}"}
    answer = httpx.get(platform.urls[service] + path, headers=headers, trust_env=False)
    answer.raise_for_status()
    return answer.json()


def without_time(report: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "seconds"}
