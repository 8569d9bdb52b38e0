"""Show a start as it goes: a line for each stage when it is done, and on a terminal what is under way."""

from types import TracebackType

from rich.console import Console
from rich.status import Status

from freeport.state import Condition, Phase, ProgramState, State


class Progress:
    """A listener to the supervisor's state; prints every stage once. Use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed: set[str] = set()
        self._restarts: dict[str, int] = {}
        self._spinner: Status | None = console.status("starting") if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._spinner is not None:
            self._spinner.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rest()

    def rest(self) -> None:
        """Leave the terminal alone."""
        if self._spinner is not None:
            self._spinner.stop()

    def __call__(self, state: State) -> None:
        for stage in state.stages:
            if stage.seconds is not None and stage.name not in self._printed:
                self._printed.add(stage.name)
                detail = f" ({stage.detail})" if stage.detail else ""
                self._console.print(f"[green]✓[/] {stage.name}{detail} [dim]{stage.seconds:.1f} s[/]", highlight=False)
        for program in state.programs.values():
            self._tell_restart(program)
        self._show_current(state)

    def _tell_restart(self, program: ProgramState) -> None:
        if program.condition is Condition.BACKING_OFF and program.restarts > self._restarts.get(program.name, 0):
            self._restarts[program.name] = program.restarts
            self._console.print(
                f"[yellow]![/] {program.name} ended ({program.last_exit}), start {program.restarts + 1} follows",
                highlight=False,
            )

    def _show_current(self, state: State) -> None:
        if self._spinner is None or state.phase not in (Phase.STARTING, Phase.STOPPING):
            self.rest()
            return
        if state.phase is Phase.STOPPING:
            self._spinner.update("stopping")
            self._spinner.start()
            return
        waiting = [f"{stage.name} {stage.detail}".strip() for stage in state.stages if stage.seconds is None]
        slow = [name for name, program in state.programs.items() if program.condition is Condition.STARTING]
        self._spinner.update(", ".join(waiting) + (f": {', '.join(slow)}" if slow else ""))
