"""Waits, not for long, until other programs leave the machine alone. Linux only; elsewhere it does nothing."""

from __future__ import annotations

import time

__all__ = ["wait_until_quiet"]

BUSY_MAX_PERCENT = 12.0
SAMPLE_S = 0.25


def wait_until_quiet(patience_s: float) -> float:
    """Return the percentage of CPU time that was in use when the wait ended, after at most about `patience_s`."""
    until = time.monotonic() + patience_s
    while True:
        before = _times()
        if before is None:
            return 0.0
        time.sleep(SAMPLE_S)
        after = _times() or before
        percent = 100 * (after[0] - before[0]) / max(1, after[1] - before[1])
        if percent <= BUSY_MAX_PERCENT or time.monotonic() >= until:
            return percent


def _times() -> tuple[int, int] | None:
    """Hundredths of a second that all cores were busy, and that passed."""
    try:
        with open("/proc/stat") as file:
            spent = [int(word) for word in file.readline().split()[1:9]]
    except OSError:
        return None
    return sum(spent) - spent[3] - spent[4], sum(spent)
