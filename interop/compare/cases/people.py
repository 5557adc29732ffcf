"""What several modules need of an operator: a user, a vhost, for the time of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CalledProcessError

from ..bench import Bench

PASSWORD = "a pass word"
EVERYTHING = (".*", ".*", ".*")


@contextmanager
def user(
    b: Bench, configure: str | None = None, write: str = "", read: str = "", vhost: str = "/", name: str = "user"
) -> Iterator[str]:
    """A user with these permissions on a vhost, or with none at all."""
    name = b.name(name)
    b.operator.add_user(name, PASSWORD)
    if configure is not None:
        b.operator.set_permissions(vhost, name, configure, write, read)
    try:
        yield name
    finally:
        try:
            b.operator.delete_user(name)
        except CalledProcessError:
            pass  # the scene has done so


@contextmanager
def vhost(b: Bench, name: str = "vhost") -> Iterator[str]:
    """A vhost in which guest may do everything."""
    name = b.name(name)
    b.operator.add_vhost(name)
    try:
        yield name
    finally:
        try:
            b.operator.delete_vhost(name)
        except CalledProcessError:
            pass
