#!/usr/bin/env python3
"""Check the Dockerfile without Docker: run its steps in a clean Debian, start what it makes, and use it.

    sudo .venv/bin/python tools/check_dockerfile.py [--cache DIR]

The base image cannot be pulled without a registry, so that a Debian of the same release, with its own Python, stands
for it; everything after FROM is as the Dockerfile says. The result runs as a container would: process 1, its own
network, a read-only file system but for the volume, no privileges to gain. A client then comes from another address
than loopback. Where debootstrap, root or namespaces are missing, one line says SKIPPED, and the exit code is 0.

`--cache DIR` keeps the Debian there for the next time. Needs pika.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import dockerfile
import rootfs
from using import client_works, expect, report

ROOT: Final = Path(__file__).resolve().parents[1]
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0  # Docker's own patience


@dataclass
class Image:
    """What a stage comes to."""

    root: rootfs.Root
    entrypoint: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    volume: str = ""
    ports: list[str] = field(default_factory=list)
    stop_signal: signal.Signals = signal.SIGTERM


class Builder:
    """Builds the stages of a Dockerfile in folders of `work`, each beginning as a copy of `base`."""

    def __init__(self, base: rootfs.Root, work: Path) -> None:
        self._base = base
        self._work = work
        self._stages: dict[str, Image] = {}
        self._ignored = dockerfile.Ignored((ROOT / ".dockerignore").read_text())

    def build(self) -> Image:
        """The last stage. Ends the program where a step fails; raises ValueError where it is not known."""
        image = None
        for number, stage in enumerate(dockerfile.stages((ROOT / "Dockerfile").read_text())):
            print(f"stage {number} {stage.name} (for {stage.image})", flush=True)
            image = Image(self._base.copy(self._work / f"stage{number}"))
            self._stages[stage.name] = self._stages[str(number)] = image
            for step in stage.steps:
                print(f"  line {step.line}: {step.name} {' '.join(step.text.split())}"[:110], flush=True)
                try:
                    self._do(image, step)
                except rootfs.Failed as failure:
                    raise SystemExit(f"Dockerfile, line {step.line}: {failure}") from None
        assert image is not None
        return image

    def _do(self, image: Image, step: dockerfile.Step) -> None:
        if step.name == "RUN":
            image.root.run(dockerfile.command(step.text), lent=True)
        elif step.name == "COPY":
            self._copy(image, step.text)
        elif step.name == "ENV":
            image.root.environment.update(dockerfile.pairs(step.text))
        elif step.name == "WORKDIR":
            image.root.folder = step.text
            image.root.inside(step.text).mkdir(parents=True, exist_ok=True)
        elif step.name == "USER":
            uid, gid = step.text.split(":")
            image.root.user = rootfs.User(int(uid), int(gid), confined=True)
        elif step.name != "LABEL":
            _describe(image, step)

    def _copy(self, image: Image, text: str) -> None:
        flags, rest = dockerfile.flags(text)
        *sources, target = rest.split()
        there = image.root.inside(target if target.startswith("/") else f"{image.root.folder}/{target}")
        for source in sources:
            if stage := flags.get("from"):
                origin = self._stages[stage].root.inside(source)
                shutil.copytree(origin, there, symlinks=True, dirs_exist_ok=True)
                continue
            names = [path.relative_to(ROOT) for path in sorted((ROOT / source).rglob("*"))] or [Path(source)]
            wanted = [name for name in names if (ROOT / name).is_file() and not self._ignored(name)]
            if not wanted:
                raise ValueError(f"COPY {source}: nothing is there, or .dockerignore leaves it out")
            for name in wanted:
                folder = (ROOT / source).is_dir()
                into = there / name.relative_to(source) if folder else there / name.name if target[-1] == "/" else there
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, into)


def _describe(image: Image, step: dockerfile.Step) -> None:
    """The instructions that only say how the image is run."""
    if step.name == "ENTRYPOINT":
        image.entrypoint = dockerfile.command(step.text)
    elif step.name == "CMD":
        image.arguments = dockerfile.command(step.text)
    elif step.name == "HEALTHCHECK":
        image.health = dockerfile.command(dockerfile.flags(step.text)[1].removeprefix("CMD").strip())
    elif step.name == "VOLUME":
        image.volume = step.text
    elif step.name == "EXPOSE":
        image.ports = step.text.split()
    elif step.name == "STOPSIGNAL":
        image.stop_signal = signal.Signals[step.text]
    else:
        raise ValueError(f"Dockerfile, line {step.line}: {step.name} is not known to this check")


class Container:
    """One run of an image on a volume."""

    def __init__(self, image: Image, volume: Path, variables: Mapping[str, str], *arguments: str) -> None:
        self._image = image
        log = volume.with_suffix(".log")
        kept = dict(image.root.environment)
        image.root.environment.update(variables)
        if not volume.exists():  # a new volume begins as the image's folder, with its owner
            subprocess.run(["cp", "-a", image.root.inside(image.volume), volume], check=True)
        command = [*image.entrypoint, *(arguments or image.arguments)]
        self._process = image.root.start(command, {volume: image.volume}, log)
        image.root.environment = kept

    def wait_healthy(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.health() != 0:
            if not self._process.running or time.monotonic() > deadline:
                self._process.kill()
                raise SystemExit(f"it did not become healthy; its log:\n{self.log()}")
            time.sleep(0.2)

    def health(self) -> int:
        """The exit code of the health check."""
        try:
            return self._process.beside(self._image.health).returncode
        except ProcessLookupError:
            return -1

    def output(self, *command: str) -> str:
        return self._process.beside(command).stdout

    def client(self, user: str, password: str, vhost: str = "/", port: int = 5672, host: str = "") -> bool:
        """Whether this user can work, from an address that is not loopback unless `host` is."""
        address = host or rootfs.FOREIGN_ADDRESS
        return client_works(self._process.network(), address, port, user, password, vhost)

    def log(self) -> str:
        return self._process.log.read_text(errors="replace")

    def stop(self) -> int:
        return self._process.stop(self._image.stop_signal, STOP_TIMEOUT_S)

    def kill(self) -> None:
        self._process.kill()


def check_image(image: Image) -> None:
    print("the image")
    expect("names the ports 5672 and 5671", image.ports == ["5672", "5671"])
    expect("does not run as root", image.root.user.uid != 0)
    writable = subprocess.run(
        ["find", image.root.path, "-xdev", "-uid", str(image.root.user.uid), "-not", "-path", f"*{image.volume}*"],
        capture_output=True,
        text=True,
        check=True,
    )
    expect("gives its user nothing but the volume", not writable.stdout)


def check_with_variables(image: Image, work: Path) -> None:
    print("a container with a user of its own")
    variables = {
        "RABBITMQ_DEFAULT_USER": "shop",
        "RABBITMQ_DEFAULT_PASS": "s3cret",
        "RABBITMQ_DEFAULT_VHOST": "orders",
        "RABBITMQ_NODE_PORT": "5699",
    }
    container = Container(image, work / "first", variables)
    try:
        container.wait_healthy()
        expect("runs the compiled message path", "compiled" in container.output("amqpd", "--version"))
        expect("lets that user in", container.client("shop", "s3cret", "orders", 5699))
        expect("not with another password", not container.client("shop", "wrong", "orders", 5699))
        expect("not guest", not container.client("guest", "guest", "orders", 5699))
        expect("keeps the password out of its log", "s3cret" not in container.log())
        expect("ends well on SIGTERM", container.stop() == 0)
        expect("is not healthy afterwards", container.health() != 0)
    finally:
        container.kill()


def check_restart(image: Image, work: Path) -> None:
    print("the same volume, without the variables")
    container = Container(image, work / "first", {})
    try:
        container.wait_healthy()
        expect("still lets that user in", container.client("shop", "s3cret", "orders"))
        expect("still has the queue", "kept" in container.output("amqpctl", "list", "queues"))
        expect("makes up no password", "admin" not in container.log())
        expect("ends well on SIGTERM", container.stop() == 0)
    finally:
        container.kill()


def check_without_variables(image: Image, work: Path) -> None:
    print("a container without variables")
    container = Container(image, work / "second", {})
    try:
        container.wait_healthy()
        found = re.search(r"admin\W.*?\bpassword (\S+)", container.log())
        expect("logs a password for admin", found is not None)
        expect("which lets admin in", found is not None and container.client("admin", found[1]))
        expect("has no guest from elsewhere", not container.client("guest", "guest"))
        expect("nor from its own machine", not container.client("guest", "guest", host="127.0.0.1"))
        expect("ends well on SIGTERM", container.stop() == 0)
    finally:
        container.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the Dockerfile's steps without Docker, and try what they make.")
    parser.add_argument("--cache", type=Path, help="keep the clean Debian in this folder, and take it from there")
    cache = parser.parse_args().cache
    if reason := rootfs.why_not():
        print(f"*** SKIPPED the check of the Dockerfile: {reason} ***", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="amqpd-image-") as folder:
        work = Path(folder)
        image = Builder(rootfs.make((cache or work) / "base"), work).build()
        check_image(image)
        check_with_variables(image, work)
        check_restart(image, work)
        check_without_variables(image, work)
    report()


if __name__ == "__main__":
    main()
