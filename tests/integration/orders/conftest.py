"""A bench of orders with two products in its copy of the catalog, and a key for quotes."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.orders.main import SERVICE
from tests.builders import orders as build
from tests.fixtures.bench import Bench, BenchFactory

HASH_KEY = "0123456789abcdef0123456789abcdef"
QUOTE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = base64.urlsafe_b64encode(QUOTE_KEY.public_key().public_bytes_raw()).decode().rstrip("=")


@pytest.fixture
async def bench(service_bench: BenchFactory) -> Bench:
    bench = await service_bench(SERVICE, pii_hash_key=HASH_KEY, quote_public_keys={"quote-1": PUBLIC_KEY})
    await bench.deliver(build.a_product("MUG"), build.a_product("TEA"))
    return bench


@pytest.fixture
def quote_key() -> Ed25519PrivateKey:
    """What logistics signs with, under the id `quote-1`."""
    return QUOTE_KEY
