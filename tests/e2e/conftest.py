"""Fixtures of the end-to-end tests: one platform a session, and the demo played on it once."""

from collections.abc import AsyncIterator

import pytest

from freeport.demo.scene import Result, play
from freeport.demo.scenes import SCENES
from freeport.demo.world import World
from freeport.platform import Platform


@pytest.fixture(scope="session")
async def world(platform: Platform) -> AsyncIterator[World]:
    async with World.opened(platform) as opened:
        yield opened


@pytest.fixture(scope="session")
async def played(world: World) -> dict[str, Result]:
    """What came of every scene, by its name."""
    return {scene.name: await play(scene, world) for scene in SCENES}
