"""Fixtures for all tests: imports only."""

from tests.fixtures.bench import service_bench
from tests.fixtures.embedded import embedded_directory, kafka, platform, postgres

__all__ = ["embedded_directory", "kafka", "platform", "postgres", "service_bench"]
