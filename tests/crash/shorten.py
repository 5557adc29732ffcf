"""From a history that fails to a short one that fails in the same way: steps are left out, many at a time, then few."""

from __future__ import annotations

import time
from dataclasses import replace

from crash.history import History
from crash.ledger import Violation
from crash.play import Looks, Play

CLOSELY = Looks(probe=0.5, images=10, nested=0.05, twice=0.1)


def failure(history: History, looks: Looks | None = None) -> str:
    """The rule that a history breaks, or the name of what it should not have raised; "" when all is well."""
    try:
        Play(history, looks).run()
    except Violation as violation:
        return violation.rule
    except Exception as error:
        return type(error).__name__
    return ""


def shortened(history: History, rule: str, seconds: float) -> History:
    """A history that breaks `rule` too, as short as can be found in that time."""
    end = time.monotonic() + seconds
    looks = next((each for each in (CLOSELY, None) if failure(history, each) == rule), None)
    steps = list(history.steps)
    size = len(steps) // 2
    while size:
        place = 0
        while place < len(steps) and time.monotonic() < end:
            fewer = steps[:place] + steps[place + size :]
            if failure(replace(history, steps=fewer), looks) == rule:
                steps = fewer
            else:
                place += size
        size //= 2
    return replace(history, steps=steps)


def told(history: History) -> str:
    """A history in words."""
    lines = [f"  {history.sizes}", *(f"  {facts}" for facts in history.queues.values())]
    lines += [f"  {' '.join(str(each) for each in step)}" for step in history.steps]
    return "\n".join(lines)
