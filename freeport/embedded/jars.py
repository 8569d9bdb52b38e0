"""Kafka's jars: fetched once by jgo from their Maven coordinates into the user's cache, checked by SHA-256."""

import fcntl
import hashlib
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from freeport.errors import StartupError

LOCK = Path(__file__).with_name("kafka.lock")
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Jar:
    coordinate: str
    """group:artifact:version"""
    sha256: str

    @property
    def version(self) -> str:
        return self.coordinate.rpartition(":")[2]


def locked_jars() -> list[Jar]:
    """What `kafka.lock` names, in its order."""
    lines = LOCK.read_text().split("\n")
    return [
        Jar(coordinate, digest) for coordinate, _, digest in (line.partition(" sha256=") for line in lines) if digest
    ]


def kafka_version() -> str:
    return next(jar.version for jar in locked_jars() if jar.coordinate.startswith("org.apache.kafka:kafka_2"))


def cache_directory() -> Path:
    """`FREEPORT_CACHE`, else `freeport` in the user's cache directory (XDG)."""
    if chosen := os.environ.get("FREEPORT_CACHE"):
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "freeport"


def class_path(report: Callable[[int, int], None] | None = None) -> str:
    """The jars as a class path, downloading what the cache lacks; `report(done, total)` is called as jars arrive.

    Raises `StartupError` when the cache is not complete and the repository cannot be reached, or a file's hash differs.
    """
    jars = locked_jars()
    cache = cache_directory()
    stamp = cache / f"kafka-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}.classpath"
    with _alone(cache):
        if stamp.exists():
            known = stamp.read_text()
            if all(Path(path).exists() for path in known.split(os.pathsep)):
                return known
        paths = _fetch_all(jars, cache / "maven", report or _silent)
        found = os.pathsep.join(map(str, paths))
        stamp.write_text(found)
        return found


def _silent(_done: int, _total: int) -> None:
    """For callers that show no progress."""


@contextmanager
def _alone(cache: Path) -> Generator[None]:
    """One process at a time fills the cache; the others wait and find it full."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_all(jars: list[Jar], repository: Path, report: Callable[[int, int], None]) -> list[Path]:
    paths: list[Path] = []
    with ThreadPoolExecutor(max_workers=8) as pool:
        for path in pool.map(_fetch, jars, [repository] * len(jars)):
            paths.append(path)
            report(len(paths), len(jars))
    return paths


def _fetch(jar: Jar, repository: Path) -> Path:
    from jgo.maven import MavenContext

    # jgo's own default is Maven Central; a company's mirror is set by FREEPORT_MAVEN_URL.
    mirror = os.environ.get("FREEPORT_MAVEN_URL")
    context = MavenContext(repo_cache=repository, remote_repos={"mirror": mirror} if mirror else None, timeout=60)
    artifact = context.create_dependency(jar.coordinate).artifact
    why = ""
    for _ in range(ATTEMPTS):
        try:
            path = artifact.resolve()
        except (
            OSError,
            RuntimeError,
        ) as error:  # requests' errors are OSErrors; jgo raises RuntimeError for "not there"
            why = _reason(error)
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() == jar.sha256:
            return path
        # Cut off by an earlier interruption, or not what we locked: never run it, fetch it again.
        path.unlink()
        why = "the file's SHA-256 differs from the one in kafka.lock"
    raise StartupError(
        f"Kafka's jar {jar.coordinate} could not be fetched",
        why=f"the first start needs the Maven repository, and {why}",
        fix="Connect this machine to the network once (a proxy: HTTPS_PROXY; a mirror: FREEPORT_MAVEN_URL); "
        "later starts need no network",
    )


def _reason(error: BaseException) -> str:
    cause = type(error).__name__
    return f"it did not answer ({cause})" if isinstance(error, OSError) else str(error)
