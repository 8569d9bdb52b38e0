"""Run in a process of its own: logging is configured once."""

import json
import subprocess
import sys

SCRIPT = """
from shared.telemetry import configure_logging
import logging, structlog
configure_logging("orders")
def stumble(email):
    raise KeyError("boom")
try:
    stumble("jane@example.org")
except KeyError as error:
    structlog.get_logger().error("request.failed", order="ord_1", exc_info=error)
    logging.getLogger("other").error("plain", exc_info=error)
"""


def test_logs_are_one_json_line_an_event_and_tracebacks_hold_no_values() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["event"], line["service"], line["level"]) for line in lines] == [
        ("request.failed", "orders", "error"),
        ("plain", "orders", "error"),
    ]
    assert lines[0]["order"] == "ord_1"
    assert "KeyError" in done.stdout
    assert "jane@example.org" not in done.stdout
