"""The audit knows who follows what."""

import importlib
from typing import Any

import pytest

from freeport.audit.subscriptions import SUBSCRIPTIONS
from freeport.layout import SERVICES
from shared.messaging.routing import Router


def test_every_service_is_there() -> None:
    assert set(SUBSCRIPTIONS) == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_follows_is_what_its_routing_table_says(service: str) -> None:
    router: Router[Any] = Router()
    importlib.import_module(f"services.{service}.main").SERVICE.routes(router)
    assert {topic.name for topic in router.topics} == SUBSCRIPTIONS[service]
