"""A picture of a run: rates above, latencies below, over time. PNG, SVG or PDF, by the file's name.

Needs matplotlib, which is imported here only: it takes longer to load than many a run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from amqpd.perftest.faults import OptionError, RunError
from amqpd.perftest.figures import Interval, Latency
from amqpd.perftest.report import Form

ENDINGS: Final = (".png", ".svg", ".pdf")


def check(path: Path) -> None:
    """Raise OptionError unless a picture can be drawn there: known before the run, not after it."""
    if path.suffix.lower() not in ENDINGS:
        raise OptionError(f"--plot: {path.name} must end in {', '.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise OptionError(f"--plot: there is no directory {path.parent}")
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise OptionError("--plot: needs matplotlib: pip install 'amqpd[bench]'") from None


def draw(path: Path, form: Form, intervals: Sequence[Interval]) -> None:
    """Draw it. Raises RunError when it cannot be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The same run gives the same file: no random names in it, and no date.
    with mpl.rc_context({"svg.hashsalt": "amqpd"}):
        figure = Figure(figsize=(9, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        times = [seen.time_s for seen in intervals]
        _draw_rates(above, form, times, intervals)
        _draw_latencies(below, form, times, intervals)
        figure.suptitle(form.id)
        metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix.lower())
        try:
            figure.savefig(path, metadata=metadata)
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from None


def _draw_rates(axes: Any, form: Form, times: Sequence[float], intervals: Sequence[Interval]) -> None:
    curves: list[tuple[str, bool, Callable[[Interval], float]]] = [
        ("sent", form.publishes, lambda seen: seen.sent),
        ("confirmed", form.publishes and form.confirms, lambda seen: seen.confirmed),
        ("returned", form.mandatory, lambda seen: seen.returned),
        ("received", form.consumes, lambda seen: seen.received),
    ]
    for name, shown, value in curves:
        if shown:
            axes.plot(times, [value(seen) for seen in intervals], label=name, marker=".")
    axes.set_ylabel("messages / s")
    axes.set_ylim(bottom=0)
    _finish(axes)


def _draw_latencies(axes: Any, form: Form, times: Sequence[float], intervals: Sequence[Interval]) -> None:
    curves: list[tuple[str, bool, Callable[[Interval], Latency]]] = [
        ("consumer", form.consumes, lambda seen: seen.consumer),
        ("confirm", form.publishes and form.confirms, lambda seen: seen.confirm),
    ]
    for name, shown, value in curves:
        if not shown:
            continue
        for share, style in (("median", "-"), ("p99", "--")):
            values = [getattr(value(seen), share) / 1e6 for seen in intervals]
            axes.plot(times, values, style, label=f"{name} {share}", marker=".")
    axes.set_ylabel("latency / ms")
    axes.set_xlabel("time / s")
    if any(seen.consumer.count or seen.confirm.count for seen in intervals):
        axes.set_yscale("log", nonpositive="mask")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
    _finish(axes)


def _finish(axes: Any) -> None:
    axes.grid(visible=True, alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper right", fontsize="small")
