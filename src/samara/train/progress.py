"""What `fit` prints: one line per epoch, and on a terminal a bar with the time left."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType
from typing import Any, Protocol

__all__ = ["Progress", "duration", "open_progress"]


class Progress(Protocol):
    """Where `fit` reports; entered before the first epoch and left after the last."""

    def __enter__(self) -> Progress: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def step(self, loss: float) -> None:
        """One optimizer step was made."""

    def epoch(self, text: str, seconds_left: float) -> None:
        """Print an epoch's line."""

    def line(self, text: str) -> None:
        """Print one line."""


class Silent:
    """`verbose=0`: nothing at all."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def step(self, loss: float) -> None:
        return None

    def epoch(self, text: str, seconds_left: float) -> None:
        return None

    def line(self, text: str) -> None:
        return None


class Plain(Silent):
    """Lines without control codes, for files, pipes and notebooks."""

    def __enter__(self) -> Plain:
        return self

    def epoch(self, text: str, seconds_left: float) -> None:
        self.line(f"{text}  eta {duration(seconds_left)}")

    def line(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class Bar:
    """A rich progress bar that stays at the bottom while the epoch lines scroll above it."""

    def __init__(self, epochs: int, steps_per_epoch: int | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress

        self._total = None if steps_per_epoch is None else epochs * steps_per_epoch
        self._console = Console(file=sys.stdout, highlight=False)
        self._bar: Any = RichProgress(
            TextColumn("training"),
            BarColumn(bar_width=40),
            TaskProgressColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("ETA"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
            transient=True,
            refresh_per_second=8,
        )
        self._task: Any = None
        self._pending = 0
        self._last_update = 0.0

    def __enter__(self) -> Bar:
        self._bar.start()
        self._task = self._bar.add_task("fit", total=self._total, loss="-")
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def step(self, loss: float) -> None:
        # Rich takes a lock per update; a small model makes thousands of steps per second.
        self._pending += 1
        now = time.monotonic()
        if now - self._last_update < 0.05:
            return
        self._bar.update(self._task, advance=self._pending, loss=f"{loss:.4g}")
        self._pending = 0
        self._last_update = now

    def epoch(self, text: str, seconds_left: float) -> None:
        # The bar below shows the time left; a terminal of 80 columns has no room for it twice.
        self.line(text)

    def line(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


def open_progress(verbose: int, epochs: int, steps_per_epoch: int | None) -> Progress:
    """Silent for `verbose=0`, a bar on a terminal, plain lines anywhere else."""
    if verbose <= 0:
        return Silent()
    if is_terminal():
        return Bar(epochs, steps_per_epoch)
    return Plain()


def is_terminal() -> bool:
    """True when standard output is a terminal that takes control codes."""
    stream = sys.stdout
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty()) and os.environ.get("TERM", "") != "dumb"


def terminal_width() -> int | None:
    """Characters per line of the terminal that standard output is, or None."""
    return shutil.get_terminal_size().columns if is_terminal() else None


def duration(seconds: float) -> str:
    """A short human time.

    >>> [duration(s) for s in (0.0123, 4.26, 75, 7260)]
    ['12ms', '4.3s', '1m15s', '2h01m']
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"
