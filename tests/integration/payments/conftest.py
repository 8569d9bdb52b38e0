"""Payments on a bench with the sandbox provider, whose webhooks nobody hears: a test brings its own."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio
from pydantic import SecretStr

from services.payments.main import SERVICE
from tests.fixtures.bench import Bench, BenchFactory
from tests.fixtures.provider import KEY, WEBHOOK_SECRET, Ear, RunningProvider, running_provider


@pytest_asyncio.fixture
async def provider(tmp_path: Path) -> AsyncGenerator[RunningProvider]:
    quick = {"provider_hang_seconds": 1.0, "provider_slow_seconds": 0.1, "provider_refund_seconds": 0.0}
    async with running_provider(tmp_path, Ear().transport(), **quick) as running:
        yield running


@pytest_asyncio.fixture
async def bench(service_bench: BenchFactory, provider: RunningProvider) -> Bench:
    return await service_bench(
        SERVICE,
        provider_url=provider.url,
        provider_key=SecretStr(KEY),
        provider_webhook_secret=SecretStr(WEBHOOK_SECRET),
        provider_timeout_seconds=0.5,
    )
