"""What a service's interface says of itself is for people to read."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest

from freeport.layout import SERVICES
from shared.runtime import create_app


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_and_each_of_its_operations_are_described_in_a_sentence(name: str) -> None:
    kit: Any = SimpleNamespace(settings=SimpleNamespace(request_capacity=1))
    described = create_app(import_module(f"services.{name}.main").SERVICE, kit).openapi()
    assert described["info"]["description"].endswith(".")
    operations = [operation for path in described["paths"].values() for operation in path.values()]
    for operation in operations:
        summary, description = operation["summary"], " ".join(operation["description"].split())
        assert " " in summary
        assert description == summary or description.startswith((f"{summary}.", f"{summary} "))


def test_a_summary_ends_where_the_first_sentence_of_the_docstring_ends() -> None:
    kit: Any = SimpleNamespace(settings=SimpleNamespace(request_capacity=1))
    described = create_app(import_module("tests.kit.till.main").SERVICE, kit).openapi()
    assert described["paths"]["/v1/additions"]["post"]["summary"] == "Add units to a name"
    redriving = described["paths"]["/internal/v1/dead-letters/{letter_id}/redrive"]["post"]
    assert redriving["summary"] == "Let it be decided again, before everything that waits behind it"
    assert "needs no Idempotency-Key" in redriving["description"]
