"""What a case is and what it works with.

A case is a function with a name (the section of the behaviour sheet it stands for, then what happens) that plays a
scene on a `Bench`: connections to one broker, names nobody else uses, an operator where the scene needs one, and the
transcript. Cases register themselves with `@case` or, where the rows of a table are alike, with `@rows`. They never
know which broker they talk to, and never share anything with another case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import render
from .client import Address, Client, Stop
from .operators import Operator

Scene = Callable[..., None]


@dataclass(frozen=True)
class Case:
    """A registered case. `operator`: it needs one. `alone`: nothing else may run on the broker meanwhile."""

    name: str
    play: Callable[[Bench], None]
    operator: bool = False
    alone: bool = False


CASES: dict[str, Case] = {}


def _register(new: Case) -> None:
    if new.name in CASES:
        raise ValueError(f"two cases are called {new.name!r}")
    CASES[new.name] = new


def case(name: str, *, operator: bool = False, alone: bool = False) -> Callable[[Scene], Scene]:
    """Register the function below as a case."""

    def register(scene: Scene) -> Scene:
        _register(Case(name, scene, operator, alone))
        return scene

    return register


def rows(name: str, table: Iterable[tuple[Any, ...]], *, operator: bool = False) -> Callable[[Scene], Scene]:
    """Register one case per row; `name` is a format string over the row, and the row follows the bench as arguments."""

    def register(scene: Scene) -> Scene:
        for row in table:
            _register(Case(name.format(*row), lambda bench, row=row: scene(bench, *row), operator))  # type: ignore[misc]
        return scene

    return register


def queue_text(name: str) -> str:
    """How an error's text names a queue."""
    return f"queue '{name}' in vhost '/'"


def exchange_text(name: str) -> str:
    return f"exchange '{name}' in vhost '/'"


def inequivalent(key: str, resource: str, received: object, current: object) -> str:
    """The text of a redeclaration that differs in one property; `resource` as the two above print it."""
    said = [str(each).lower() if isinstance(each, bool) else str(each) for each in (received, current)]
    return (
        f"PRECONDITION_FAILED - inequivalent arg '{key}' for {resource}: "
        f"received '{said[0]}' but current is '{said[1]}'"
    )


class Bench:
    """One run of one case against one broker."""

    def __init__(self, address: Address, prefix: str, operator: Operator | None = None) -> None:
        self.address = address
        self.lines: list[str] = []
        self._prefix = prefix
        self._operator = operator
        self._clients: list[Client] = []
        self._queues: list[str] = []
        self._exchanges: list[str] = []

    # -- names --------------------------------------------------------------------------------------------------------
    def name(self, name: str) -> str:
        """A name of this run's own, always the same length for the same argument."""
        return self._prefix + name

    def q(self, name: str = "q") -> str:
        """A queue name; the queue is deleted after the case."""
        self._queues.append(self.name(name))
        return self._queues[-1]

    def x(self, name: str = "x") -> str:
        """An exchange name; the exchange is deleted after the case."""
        self._exchanges.append(self.name(name))
        return self._exchanges[-1]

    @property
    def operator(self) -> Operator:
        if self._operator is None:
            raise RuntimeError("this case needs an operator")
        return self._operator

    # -- connections --------------------------------------------------------------------------------------------------
    def dial(self) -> Client:
        """A connected socket and nothing said yet."""
        label = "abcdefghijklmnopqrstuvwxyz"[len(self._clients)]
        self._clients.append(Client(self.address, label, self.note))
        return self._clients[-1]

    def connect(self, **options: Any) -> Client:
        """An open connection without channels; options as for `Client.handshake`."""
        return self.dial().handshake(**options)

    def channel(self, **options: Any) -> Client:
        """An open connection with channel 1 open."""
        return self.connect(**options).open()

    # -- transcript ---------------------------------------------------------------------------------------------------
    def note(self, line: str) -> None:
        self.lines.append(line if line.startswith("! expected") else render.normalise(line))

    def check(self, right: object, expectation: str) -> None:
        """An explicit expectation of the behaviour sheet."""
        if not right:
            self.note(f"! not so: {expectation}")

    # -- the runner's side --------------------------------------------------------------------------------------------
    def perform(self, scene: Case) -> list[str]:
        """Play the case, clean up, return the transcript.

        Whatever goes wrong is part of the transcript.
        """
        try:
            scene.play(self)
        except Stop:
            self.note("(stopped)")
        except Exception as error:
            self.note(f"! {type(error).__name__}: {error}")
        finally:
            self._clean_up()
        return self.lines

    def _clean_up(self) -> None:
        """Leave nothing behind.

        Each deletion has a channel of its own: one refused (an exclusive queue on its way out) does not stop the
        others.
        """
        for client in self._clients:
            client.drop()
        if not self._queues and not self._exchanges:
            return
        try:
            sweeper = Client(self.address, "-", lambda line: None).handshake()
            names = [("queue", name) for name in self._queues] + [("exchange", name) for name in self._exchanges]
            for channel, (kind, name) in enumerate(names, 1):
                sweeper.send("channel.open", channel)
                sweeper.send(f"{kind}.delete", channel, **{kind: name, "nowait": True})
            sweeper.send("connection.close", 0, reply_code=200)
            while (event := sweeper.next()) is not None and event.name not in ("connection.close-ok", "closed"):
                pass
            sweeper.drop()
        except (Stop, OSError):
            self.note("! cleaning up failed")
