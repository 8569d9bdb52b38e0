"""PostgreSQL refuses to run as root; here is whom it runs as instead, and how that account reaches its files.

Nobody's permissions are widened for it: where the account cannot pass through a directory on the way (a checkout
under /root, a mode 0700 temporary directory), the server's files are kept under `/var/lib/freeport`.
"""

import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from freeport.errors import StartupError

SYSTEM_HOME = Path("/var/lib/freeport")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of the operating system, by its numbers."""

    uid: int
    gid: int

    def owns(self, path: Path) -> None:
        """Give the path (not what is in it) to this account."""
        os.chown(path, self.uid, self.gid)


def server_account() -> Account | None:
    """The unprivileged account for PostgreSQL when we are root; None when our own account will do.

    `nobody` exists on every Unix, so nothing is added to the machine's accounts; initdb needs one with a name.
    """
    if sys.platform == "win32" or os.geteuid() != 0:
        return None
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as error:
        raise StartupError(
            "PostgreSQL cannot be started by root",
            why="it refuses to, and this machine has no account `nobody` that could run it",
            fix="Run Freeport as an ordinary user",
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def can_reach(account: Account, path: Path) -> bool:
    """Whether the account may pass through every directory down to the path (which need not exist yet)."""
    resolved = path.resolve()
    return all(_may_enter(account, parent) for parent in (resolved, *resolved.parents) if parent.exists())


def _may_enter(account: Account, path: Path) -> bool:
    status = path.stat()
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def reachable_copy(account: Account, source: Path, name: str) -> Path:
    """The directory tree itself when the account reaches it, else a copy of it made once under `/var/lib/freeport`."""
    if can_reach(account, source):
        return source
    copy = _system_home(account) / name
    if not copy.exists():
        _make_public(copy.parent)
        unfinished = Path(tempfile.mkdtemp(dir=copy.parent))
        shutil.copytree(source, unfinished / "tree", symlinks=True)
        try:
            (unfinished / "tree").rename(copy)
        except OSError:
            # Another process made the same copy first; any other reason is an error.
            if not copy.exists():
                raise
        shutil.rmtree(unfinished)
    return copy


def reachable_directory(account: Account, wanted: Path) -> Path:
    """Make the directory `wanted` for the account; where it cannot get there, `wanted` is a link to one it reaches."""
    if not wanted.exists():
        if can_reach(account, wanted.parent):
            wanted.mkdir(mode=0o700)
        else:
            elsewhere = Path(tempfile.mkdtemp(prefix="data-", dir=_system_home(account)))
            wanted.symlink_to(elsewhere)
    account.owns(wanted.resolve())
    return wanted.resolve()


def _system_home(account: Account) -> Path:
    _make_public(SYSTEM_HOME)
    if not can_reach(account, SYSTEM_HOME):
        raise StartupError(
            "PostgreSQL cannot reach its directory",
            why=f"it may not run as root, and the account `nobody` may not enter {SYSTEM_HOME}",
            fix="Run Freeport as an ordinary user, or from a directory that every account may enter",
        )
    return SYSTEM_HOME


def _make_public(directory: Path) -> None:
    """Make the directory and what is missing above it, for every account to enter, whatever the umask."""
    if not directory.exists():
        _make_public(directory.parent)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
