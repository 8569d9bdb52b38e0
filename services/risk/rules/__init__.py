"""The rule set that a store has before it chooses its own: `default.json`."""

import json
from functools import cache
from importlib.resources import files

from services.risk.domain.rule_set import RuleSet, parse_rule_set


@cache
def shipped_rule_set() -> RuleSet:
    """The compiled `default.json`. Raises ValueError when someone broke it."""
    rule_set = parse_rule_set(json.loads(files(__name__).joinpath("default.json").read_text(encoding="utf-8")))
    if isinstance(rule_set, list):
        raise ValueError(f"rules/default.json is malformed: {rule_set}")
    return rule_set
