"""How fast a channel may be called: one bucket of calls for all loops of a process that call it."""

import asyncio
from collections.abc import Callable


class Pace:
    """`calls_per_s` in the long run, a second's worth at once (one call at least). `clock` in seconds, monotonic."""

    def __init__(self, calls_per_s: float, clock: Callable[[], float] | None = None) -> None:
        if calls_per_s <= 0:
            raise ValueError("a channel that bears no call cannot be called")
        self._rate = calls_per_s
        self._burst = max(1.0, calls_per_s)
        self._tokens = self._burst
        self._clock = clock
        self._at = self._now() if clock else 0.0
        self._not_before = 0.0

    def reserve(self) -> float:
        """Take the next call. Returns in how many seconds it may be made; callers are served in their order."""
        now = self._now()
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._rate) - 1.0
        self._at = now
        return max(0.0, -self._tokens / self._rate, self._not_before - now)

    def rest(self, seconds: float) -> None:
        """The channel said that it is busy: no call that is reserved from now on is made before it has rested."""
        self._not_before = max(self._not_before, self._now() + seconds)

    async def turn(self) -> None:
        """Wait until a call may be made."""
        pause = self.reserve()
        if pause:
            await asyncio.sleep(pause)

    def _now(self) -> float:
        return self._clock() if self._clock else asyncio.get_running_loop().time()
