"""Settings that are wrong say which, and show no secret."""

from importlib import import_module

import pytest
from pydantic import ValidationError

from freeport.layout import SERVICES


@pytest.mark.parametrize("service", SERVICES)
def test_a_wrong_setting_is_named_and_no_value_is_shown(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREEPORT_DATABASE_URL", "postgresql://app:hush@db/x")
    monkeypatch.setenv("FREEPORT_PORT", "hush")
    with pytest.raises(ValidationError) as wrong:
        import_module(f"services.{service}.settings").Settings()
    assert "port" in str(wrong.value)
    assert "hush" not in str(wrong.value)
