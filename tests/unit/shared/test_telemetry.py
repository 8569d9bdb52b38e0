"""Run in a process of its own: logging is configured once."""

import json
import subprocess
import sys

SCRIPT = """
import asyncpg
from shared.telemetry import configure_logging
import logging, structlog
configure_logging("orders")
def stumble(email):
    raise KeyError("boom")
try:
    stumble("jane@example.org")
except KeyError as error:
    refused = asyncpg.CheckViolationError("new row violates check constraint")
    refused.detail = "Failing row contains (jane@example.org)."
    structlog.get_logger().error("row.refused", exc_info=refused)
    structlog.get_logger().error("request.failed", order="ord_1", exc_info=error)
    logging.getLogger("other").error("plain", exc_info=error)
"""


def test_logs_are_one_json_line_an_event_and_tracebacks_hold_no_values() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["event"], line["service"], line["level"]) for line in lines] == [
        ("row.refused", "orders", "error"),
        ("request.failed", "orders", "error"),
        ("plain", "orders", "error"),
    ]
    assert lines[0]["exception"][0]["exc_value"] == "new row violates check constraint"
    assert lines[1]["order"] == "ord_1"
    assert "KeyError" in done.stdout
    assert "jane@example.org" not in done.stdout
