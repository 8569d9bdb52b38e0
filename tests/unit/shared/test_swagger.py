import hashlib
import re
from pathlib import Path

import pytest

import shared

SWAGGER = Path(shared.__file__).parent / "static" / "swagger"
LISTED = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (SWAGGER / "README.md").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", ["swagger-ui-bundle.js", "swagger-ui.css"])
def test_what_is_vendored_is_what_the_readme_says(name: str) -> None:
    digest = hashlib.sha256((SWAGGER / name).read_bytes()).hexdigest()
    assert LISTED[digest] == name


def test_the_style_loads_nothing_from_elsewhere() -> None:
    targets = re.findall(r"url\(\s*[\"']?([^\"')]{0,20})", (SWAGGER / "swagger-ui.css").read_text("utf-8"))
    assert targets
    assert all(target.startswith("data:") for target in targets)
