"""CPU time of a message, of many cases side by side: the least of several passes that alternate between them.

Whatever else the machine does can only make a pass longer, and it changes over seconds; so each case has its turn in
each pass, between two calibrations, and the least of each counts. A pass has as many messages as fit into PASS_S.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from bench.calibration import calibrate, relative
from bench.client import BenchError
from bench.traffic import Play

PASSES: Final = 12
PASS_S: Final = 0.015
MESSAGES_MIN: Final = 20
MESSAGES_MAX: Final = 20_000


class Cost(NamedTuple):
    """CPU microseconds of a message, and the same in units of the calibration."""

    us: float
    relative: float


def tune_collector() -> None:
    """As the server does when it has started (`amqpd.app`)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def messages_of_a_pass(play: Play, pass_s: float) -> int:
    """How many messages take about `pass_s` of CPU time. Plays some, which warms everything up, too."""
    messages = MESSAGES_MIN
    while messages < MESSAGES_MAX:
        seconds = play.run(messages)
        if seconds > pass_s / 4:
            return max(MESSAGES_MIN, min(MESSAGES_MAX, int(messages * pass_s / seconds)))
        messages *= 4
    return MESSAGES_MAX


def costs(
    makers: Mapping[str, Callable[[], Play]], passes: int = PASSES, pass_s: float = PASS_S
) -> dict[str, Cost]:
    """What a message costs in each case. Raises BenchError."""
    plays: dict[str, Play] = {}
    counts: dict[str, int] = {}
    for name, make in makers.items():
        try:
            plays[name] = make()
            counts[name] = messages_of_a_pass(plays[name], pass_s)
        except BenchError as error:
            raise BenchError(f"{name}: {error}") from error
    tune_collector()
    least = dict.fromkeys(plays, 1e9)
    calibration = min(calibrate() for _ in range(passes))
    for _ in range(passes):
        for name, play in plays.items():
            calibration = min(calibration, calibrate())
            least[name] = min(least[name], play.run(counts[name]) / counts[name])
    return {name: Cost(seconds * 1e6, relative(seconds, calibration)) for name, seconds in least.items()}
