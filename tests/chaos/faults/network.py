"""The network between the services and their servers: cut, late, thin, silent (rows 22 and 23)."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.chaos.cluster import Cluster
from tests.chaos.fault import Fault, Harmless, Strike
from tests.chaos.proxy import CLEAN, Counts, Toxics


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Toxics by direction for some seconds, and what they count as having bitten."""

    up: Toxics = CLEAN
    down: Toxics = CLEAN
    seconds: float
    bit: Callable[[Counts], int]
    unit: str


def _late(rng: Random) -> Weather:
    toxics = Toxics(latency_s=rng.uniform(0.03, 0.15), jitter_s=0.03)
    return Weather(up=toxics, down=toxics, seconds=6, bit=lambda c: c.up.late + c.down.late, unit="bytes were late")


def _silent(rng: Random) -> Weather:
    """Longer than a producer waits (10 s) and a relay (15 s); shorter than a statement's time-out."""
    toxics = Toxics(held=True)
    return Weather(
        up=toxics,
        down=toxics,
        seconds=rng.uniform(8, 20),
        bit=lambda c: c.up.held + c.down.held,
        unit="bytes stood still",
    )


def _unanswered(rng: Random) -> Weather:
    """What was asked is done, and nobody hears of it: commits and acknowledgements in doubt."""
    return Weather(
        down=Toxics(lost=True), seconds=rng.uniform(1, 4), bit=lambda c: c.down.lost, unit="bytes of answers were lost"
    )


def _mute(rng: Random) -> Weather:
    """The same past every time-out of a producer, so that it gives up, is built anew, and sends again."""
    return Weather(
        down=Toxics(lost=True),
        seconds=rng.uniform(16, 20),
        bit=lambda c: c.down.lost,
        unit="bytes of answers were lost",
    )


def _deaf(rng: Random) -> Weather:
    return Weather(
        up=Toxics(lost=True), seconds=rng.uniform(6, 16), bit=lambda c: c.up.lost, unit="bytes of requests were lost"
    )


def _sliced(rng: Random) -> Weather:
    toxics = Toxics(slice_bytes=rng.choice((7, 31, 64)), slice_gap_s=0.0005)
    return Weather(up=toxics, down=toxics, seconds=6, bit=lambda c: c.up.slices + c.down.slices, unit="slices")


def _thin(rng: Random) -> Weather:
    toxics = Toxics(bytes_per_s=rng.choice((30_000, 100_000)))
    return Weather(
        up=toxics, down=toxics, seconds=8, bit=lambda c: c.up.thinned + c.down.thinned, unit="bytes waited for room"
    )


def _short(rng: Random) -> Weather:
    """A connection lives for some kilobytes."""
    toxics = Toxics(limit_bytes=rng.randint(3_000, 60_000))
    return Weather(down=toxics, seconds=6, bit=lambda c: c.cut_short, unit="connections were cut short")


def _mortal(rng: Random) -> Weather:
    """No connection lives for long, the new ones neither."""
    toxics = Toxics(reset_after_s=rng.uniform(0.2, 1.0))
    return Weather(down=toxics, seconds=6, bit=lambda c: c.resets, unit="connections were reset")


def _lingering(rng: Random) -> Weather:
    """Ends are told late: of a service that is stopped, the server learns much later."""
    return Weather(
        up=Toxics(linger_s=3, reset_after_s=2),
        down=Toxics(linger_s=3, latency_s=0.01),
        seconds=6,
        bit=lambda c: c.slow_ends + c.resets,
        unit="ends came late",
    )


def weather(server: str, draw: Callable[[Random], Weather]) -> Strike:
    """Bad weather before a server, or before one of several brokers."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        name = rng.choice([name for name in sorted(cluster.proxies) if name.startswith(server)])
        proxy, now = cluster.proxies[name], draw(rng)
        before = now.bit(await proxy.counts())
        await proxy.poison(up=now.up, down=now.down)
        try:
            await asyncio.sleep(now.seconds)
        finally:
            await proxy.heal()
        bit = now.bit(await proxy.counts()) - before
        if not bit:
            raise Harmless(f"nothing passed before {name} in {now.seconds:.1f} s")
        return f"{bit} {now.unit} before {name} in {now.seconds:.1f} s"

    return strike


def torn(server: str) -> Strike:
    """All connections are reset at the same moment, some times."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        resets = 0
        times = rng.randint(3, 6)
        for _ in range(times):
            for name, proxy in cluster.proxies.items():
                if name.startswith(server):
                    resets += await proxy.reset()
            await asyncio.sleep(rng.uniform(0.2, 1.2))
        if not resets:
            raise Harmless(f"there was no connection to {server}")
        return f"{resets} connections to {server} were reset, at {times} moments"

    return strike


_POSTGRES = frozenset({"postgres"})
_KAFKA = frozenset({"kafka"})


def _fault(server: str, name: str, says: str, strike: Strike, lasts: float, *, always: bool = False) -> Fault:
    occupied = _POSTGRES if server == "postgres" else _KAFKA
    return Fault(
        name=f"{server}.{name}",
        row=22 if server == "postgres" else 23,
        says=says,
        strike=strike,
        lasts=lasts,
        occupies=occupied,
        always=always,
    )


FAULTS = (
    _fault(
        "postgres", "torn", "every connection to PostgreSQL is reset, again and again", torn("postgres"), 4, always=True
    ),
    _fault("postgres", "late", "PostgreSQL is far away", weather("postgres", _late), 6, always=True),
    _fault("postgres", "silent", "PostgreSQL is a black hole", weather("postgres", _silent), 15),
    _fault("postgres", "unanswered", "PostgreSQL's answers are lost, commits too", weather("postgres", _unanswered), 4),
    _fault("postgres", "deaf", "PostgreSQL does not hear", weather("postgres", _deaf), 12),
    _fault("postgres", "sliced", "everything from and to PostgreSQL comes in crumbs", weather("postgres", _sliced), 6),
    _fault("postgres", "thin", "a thin line to PostgreSQL", weather("postgres", _thin), 8),
    _fault("postgres", "short", "connections to PostgreSQL break after kilobytes", weather("postgres", _short), 6),
    _fault("postgres", "mortal", "connections to PostgreSQL live for a moment", weather("postgres", _mortal), 6),
    _fault("postgres", "lingering", "PostgreSQL hears late that somebody left", weather("postgres", _lingering), 6),
    _fault("kafka", "torn", "every connection to Kafka is reset, again and again", torn("kafka"), 4, always=True),
    _fault("kafka", "late", "Kafka is far away", weather("kafka", _late), 6, always=True),
    _fault("kafka", "silent", "Kafka is a black hole", weather("kafka", _silent), 15),
    _fault("kafka", "unanswered", "acknowledgements of Kafka are lost for a moment", weather("kafka", _unanswered), 4),
    _fault(
        "kafka", "mute", "acknowledgements of Kafka are lost until its producers give up", weather("kafka", _mute), 18
    ),
    _fault("kafka", "deaf", "Kafka does not hear", weather("kafka", _deaf), 12),
    _fault("kafka", "sliced", "everything from and to Kafka comes in crumbs", weather("kafka", _sliced), 6),
    _fault("kafka", "thin", "a thin line to Kafka", weather("kafka", _thin), 8),
    _fault("kafka", "short", "connections to Kafka break after kilobytes", weather("kafka", _short), 6),
)
