"""A small disk fills and is emptied, and leaves nothing behind."""

import errno
from pathlib import Path

import pytest

from tests.chaos.servers import MIB, NoSmallDisk, SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path):
    try:
        with small_disk(tmp_path / "small", 4 * MIB) as mounted:
            yield mounted
    except NoSmallDisk as error:
        pytest.skip(str(error))


def test_a_full_disk_takes_nothing_more_until_its_ballast_is_gone(disk: SmallDisk) -> None:
    (disk.path / "data").write_bytes(b"x" * 4096)
    assert 3 * MIB < disk.fill() < 4 * MIB
    assert disk.free() == 0
    with pytest.raises(OSError, match="No space left") as refused:
        (disk.path / "more").write_bytes(b"x" * 4096)
    assert refused.value.errno == errno.ENOSPC
    disk.empty()
    (disk.path / "more").write_bytes(b"x" * 4096)
    assert (disk.path / "data").read_bytes() == b"x" * 4096


def test_a_full_disk_can_be_filled_again_with_what_was_given_back(disk: SmallDisk) -> None:
    (disk.path / "data").write_bytes(b"x" * MIB)
    disk.fill()
    (disk.path / "data").unlink()
    assert disk.fill() == MIB


def test_the_file_system_is_gone_afterwards(tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path, MIB):
            (tmp_path / "data").touch()
    except NoSmallDisk as error:
        pytest.skip(str(error))
    assert not (tmp_path / "data").exists()
