"""How a channel is judged by the time that it takes to acknowledge."""

from itertools import product

import pytest

from services.inventory.domain.feed import (
    FENCE_AFTER,
    ChannelState,
    Limits,
    Standing,
    backoff_s,
    judge,
)

LIMITS = Limits(calls_per_s=5, batch_size=50, objective_s=10)


def standing(state: ChannelState = ChannelState.OPEN, for_s: float = 0, lag_s: float = 10) -> Standing:
    return Standing(state, for_s, lag_s)


def test_a_channel_that_acknowledges_in_time_is_open_with_the_lag_of_its_objective() -> None:
    assert judge(standing(), 9, 0, LIMITS) == (ChannelState.OPEN, 10)


def test_a_late_channel_first_gets_the_lag_that_was_measured() -> None:
    assert judge(standing(), 11, 0, LIMITS) == (ChannelState.LATE, 20)
    assert judge(standing(ChannelState.LATE, lag_s=20), 79, 0, LIMITS) == (ChannelState.LATE, 80)


def test_only_silence_fences_a_backlog_does_not() -> None:
    assert judge(standing(), 1000, 0, LIMITS)[0] is ChannelState.LATE
    assert judge(standing(), 0, FENCE_AFTER * 10 + 0.1, LIMITS)[0] is ChannelState.FENCED


@pytest.mark.parametrize(("at_risk_s", "state"), [(0, ChannelState.OPEN), (500, ChannelState.LATE)])
def test_a_fenced_channel_opens_when_it_answers(at_risk_s: float, state: ChannelState) -> None:
    assert judge(standing(ChannelState.FENCED, lag_s=640), at_risk_s, 0, LIMITS) == (state, 640)


def test_the_lag_falls_back_only_after_a_calm_time() -> None:
    assert judge(standing(for_s=99, lag_s=80), 0, 0, LIMITS) == (ChannelState.OPEN, 80)
    assert judge(standing(for_s=100, lag_s=80), 0, 0, LIMITS) == (ChannelState.OPEN, 10)


def test_every_state_has_an_answer_and_a_lag_of_at_least_the_delay() -> None:
    for state, at_risk, silent in product(ChannelState, (0.0, 5.0, 15.0, 3000.0), (0.0, 5.0, 15.0, 3000.0)):
        _, lag = judge(standing(state), at_risk, silent, LIMITS)
        assert lag >= max(at_risk, silent, LIMITS.objective_s)


def test_a_channel_that_fails_rests_longer_but_never_long() -> None:
    rests = [backoff_s(failures) for failures in range(50)]
    assert rests == sorted(rests)
    assert rests[-1] == 5
