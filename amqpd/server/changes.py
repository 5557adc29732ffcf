"""Changes of definitions for those who wait until they are stored: operators, and imports.

Each call is carried out at once, before anything else happens on the node, but for a long list, which others have their
turns in; it returns when what it changed is on disk. A caller that is cancelled meanwhile has changed it all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from amqpd.broker.commands import Command, PutVHost
from amqpd.errors import DefinitionError
from amqpd.runtime.driver import Driver
from amqpd.server.definitions import Definitions

T = TypeVar("T")

PIECE: Final = 500  # commands carried out in one go: some ten milliseconds


class Changes:
    """The way to `definitions`. `driver` ends the rounds."""

    def __init__(self, definitions: Definitions, driver: Driver) -> None:
        self.definitions: Final = definitions
        self.driver: Final = driver

    async def make(self, command: Command) -> str:
        """Carry out one command; returns "", or what the operator should know of it. Raises DefinitionError.

        To declare what is there and differs is an error.
        """
        return await self.settled(partial(self.definitions.apply, command, keep=False))

    async def make_all(self, commands: Sequence[Command]) -> list[tuple[int, str]]:
        """Carry out what was tried before; returns, by position, what there is to say, or why it is impossible now.

        All of it is stored in one transaction, with what clients declare meanwhile.
        """
        said: list[str] = []
        catalogue = self.definitions.broker.catalogue
        catalogue.hold()
        try:
            with trio.CancelScope(shield=True):
                for start in range(0, len(commands), PIECE):
                    with self.driver.round():
                        said += [self._attempt(command) for command in commands[start : start + PIECE]]
                    await trio.lowlevel.checkpoint()
        finally:
            catalogue.release()
        await self.settled(catalogue.depend)
        return [(position, text) for position, text in enumerate(said) if text]

    def _attempt(self, command: Command) -> str:
        try:
            return self.definitions.apply(command)
        except DefinitionError as error:
            return f"not done: {error}"

    async def settled(self, action: Callable[[], T]) -> T:
        """The result of an action on the node's definitions, once what it changed is stored."""
        stored = trio.Event()
        catalogue = self.definitions.broker.catalogue
        with self.driver.round():
            catalogue.begin()
            result = action()
            at_once = catalogue.settle(stored.set)
        if not at_once:
            await stored.wait()
        return result

    async def add_vhost(self, command: PutVHost) -> bool:
        """Add a vhost; False, and nothing is done, if it is there (RabbitMQ). Raises DefinitionError."""
        if command.name in self.definitions.broker.vhosts:
            return False
        await self.make(command)
        return True

    async def set_vhost(
        self, name: str, description: str | None, tags: Sequence[str] | None, default_queue_type: str | None
    ) -> None:
        """Change what is said of a vhost; what is None stays. Raises DefinitionError."""
        vhost = self.definitions.broker.vhosts.get(name)
        if vhost is None:
            raise DefinitionError(f"vhost '{name}' does not exist")
        await self.make(
            PutVHost(
                name,
                vhost.description if description is None else description,
                vhost.tags if tags is None else tuple(tags),
                vhost.default_queue_type if default_queue_type is None else default_queue_type,
            )
        )
