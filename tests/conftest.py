"""Fixtures for all tests: imports only."""

from tests.fixtures import properties
from tests.fixtures.bench import logs_go_to_pytest, service_bench
from tests.fixtures.embedded import embedded_directory, kafka, platform, postgres

__all__ = ["embedded_directory", "kafka", "logs_go_to_pytest", "platform", "postgres", "properties", "service_bench"]
