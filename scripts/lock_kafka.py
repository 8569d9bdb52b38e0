"""Resolve Kafka's jars anew and write them, each with its SHA-256, to `freeport/embedded/kafka.lock`.

Run it after changing `KAFKA`: `.venv/bin/python scripts/lock_kafka.py`. Users never run it: they download what the
lock names and refuse a file whose hash differs.
"""

import hashlib
import tempfile
from pathlib import Path

from jgo.maven import MavenContext

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"
# What Kafka's own distribution adds beside its dependencies. Resolved alone: jgo reads every root as a bill of
# materials, and log4j's would pull Jackson's core below the version that Kafka's databind needs.
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
LOCK = Path(__file__).parent.parent / "freeport" / "embedded" / "kafka.lock"


def main() -> None:
    with tempfile.TemporaryDirectory() as repository:
        context = MavenContext(repo_cache=Path(repository))
        roots, transitive = context.resolver.resolve([context.create_dependency(KAFKA)])
        wanted = [dependency.artifact for dependency in roots + transitive if dependency.scope != "test"]
        wanted.append(context.create_dependency(LOGGING).artifact)
        lines = {
            f"{a.groupId}:{a.artifactId}:{a.version} sha256={hashlib.sha256(a.resolve().read_bytes()).hexdigest()}"
            for a in wanted
        }
    LOCK.write_text("\n".join(sorted(lines)) + "\n")


if __name__ == "__main__":
    main()
