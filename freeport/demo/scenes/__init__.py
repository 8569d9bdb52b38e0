"""The scenes of the demo, in the order in which they are played."""

from freeport.demo.scene import Scene
from freeport.demo.scenes import endings, faults, journey, money, papers, ring, sale
from freeport.demo.world import World

SCENES: tuple[Scene[World], ...] = (
    *journey.SCENES,
    *sale.SCENES,
    *money.SCENES,
    *papers.SCENES,
    *ring.SCENES,
    *endings.SCENES,
    *faults.SCENES,
)
