"""docs/api.md says which writes take no idempotency key: these, and no others."""

import importlib
import re

from fastapi import FastAPI

from freeport.layout import ROOT, SERVICES
from shared.deadletter_api import dead_letters

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
NOT_FOR_CALLERS = {
    "POST /webhooks/provider",  # known by the provider's own id
    "POST /webhooks/carrier",
    "POST /v1/channels/{name}/notices",  # known by the channel's own id
    "POST /internal/v1/recipients:batch",  # logistics reads
}


def writes_without_key() -> set[str]:
    found: set[str] = set()
    for name in SERVICES:
        app = FastAPI()
        for router in (*importlib.import_module(f"services.{name}.main").SERVICE.api, dead_letters(name)):
            app.include_router(router)
        for path, operations in app.openapi()["paths"].items():
            found |= {
                f"{method.upper()} {path}"
                for method, operation in operations.items()
                if method != "get" and not any(p["name"] == "Idempotency-Key" for p in operation.get("parameters", ()))
            }
    return found


def test_the_page_names_every_write_that_takes_no_key_and_no_other() -> None:
    section = PAGE.partition("## Writing: the idempotency key")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:POST|PUT|PATCH|DELETE) /[^`]+)`", section))
    assert named == writes_without_key() - NOT_FOR_CALLERS
