"""A wall clock that is an hour wrong in one process.

The whole process sees it: a library of a few lines is loaded before all others and answers for the C library's wall clock, so
that Python, its extensions and what they are linked with agree. The monotonic clock stays, as it does on a machine whose
clock is set.
"""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from tests.chaos.cluster import Cluster, Process
from tests.chaos.fault import Feature, Harmless, Strike, of_services

HOUR_S = 3600
_SKEWED_ORDERS = 6
_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static time_t offset(void) {
    const char *seconds = getenv("CHAOS_CLOCK_OFFSET_S");
    return seconds ? (time_t)atoll(seconds) : 0;
}

int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(which, at);
    if (!failed && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    if (!failed && at) { at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; }
    return failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def can_skew() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


def skewed(service: str) -> Strike:
    """One replica lives an hour before or after everybody else for a while."""

    async def strike(cluster: Cluster, rng: Random) -> str:
        offset = rng.choice((-HOUR_S, HOUR_S))
        victim = rng.choice(cluster.replicas(service))
        mark = victim.mark()
        library = _library(cluster.home.directory)
        await victim.restart({"LD_PRELOAD": str(library), "CHAOS_CLOCK_OFFSET_S": str(offset)})
        try:
            seen = _seen(victim, mark)
            if abs(seen.total_seconds() - offset) > HOUR_S / 2:
                raise Harmless(f"{victim.name} logs {seen.total_seconds():.0f} s away from now")
            overdue = await _overdue(cluster, service, rng)
        finally:
            await victim.restart()
        return f"{victim.name} lived {seen.total_seconds():+.0f} s away; {overdue} holds of stock expired before their time"

    return strike


async def _overdue(cluster: Cluster, service: str, rng: Random) -> int:
    """Orders are placed while the clock is wrong. How many holds expired, which by the database's clock none may."""
    assert cluster.load is not None
    for _ in range(_SKEWED_ORDERS):
        await cluster.load.place()
    expired = await cluster.count(
        "inventory", "SELECT count(*) FROM reservation WHERE status = 'expired' AND expires_at > now()"
    )
    if expired:
        cluster.load.shop.complaints.append(
            f"with a wrong clock in {service} {expired} holds expired before their time"
        )
    return expired


def _seen(process: Process, mark: int) -> timedelta:
    """How far from now the newest line of its log says that it is."""
    stamps = [line["timestamp"] for line in process.said(mark) if "timestamp" in line]
    if not stamps:
        raise Harmless(f"{process.name} logged nothing")
    return datetime.fromisoformat(stamps[-1]) - datetime.now(UTC)


def _library(directory: Path) -> Path:
    """Compiled once a run."""
    library, source = directory / "clock.so", directory / "clock.c"
    if not library.exists():
        source.write_text(_SOURCE)
        subprocess.run(("cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"), check=True)
    return library


FAULTS = of_services(
    ("inventory", "orders", "risk"),
    "clock_wrong",
    skewed,
    row=26,
    says="the wall clock of a replica of {} is an hour wrong",
    lasts=12,
    needs=frozenset({Feature.COMPILER}),
)
