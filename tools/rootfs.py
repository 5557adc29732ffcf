"""A clean Debian in a directory, and programs in it: what the checks of the image and of the Debian package stand on.

A program runs in mount and process namespaces of its own (and in a network of its own where that is asked for), so that
nothing it starts and nothing that is mounted outlives it. It needs root, Linux and debootstrap; `why_not` says what is
missing. What this machine's pip needs to find packages (its settings, and the files they name) is lent to a program
that asks for it; nothing of it stays in the directory but empty mount points.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

MIRROR: Final = "http://deb.debian.org/debian"
SUITE: Final = "trixie"
PACKAGES: Final = ("ca-certificates", "python3", "python3-venv", "python3-pip", "python3-dev")
PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FOREIGN_ADDRESS: Final = "10.20.30.40"  # in a network of its own: the machine's, and not loopback

# Run by `unshare`, as process 1 of its namespaces: $1 is the directory; then come, until --, triples of what to mount,
# where, and how (rw or ro).
_ENTER: Final = """
set -eu
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
while [ "$1" != -- ]; do
    [ -d "$1" ] && mkdir -p "$root$2" || { mkdir -p "$(dirname "$root$2")"; [ -e "$root$2" ] || : > "$root$2"; }
    mount --bind "$1" "$root$2"
    mount -o "remount,bind,$3" "$root$2"
    shift 3
done
shift
if [ -n "${READ_ONLY:-}" ]; then
    mount -o remount,bind,ro "$root"
    mount -t tmpfs tmpfs "$root/tmp"
fi
if [ -n "${ALONE:-}" ]; then
    ip link set lo up
    ip address add "$ALONE/32" dev lo
fi
exec chroot "$root" "$@"
"""


def why_not() -> str:
    """Empty if clean Debians can be made and used here, else what is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "it needs Linux and root"
    for program in ("debootstrap", "unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return f"there is no {program} (apt install debootstrap util-linux iproute2)"
    if subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True).returncode:
        return "this machine does not let root make namespaces"
    return ""


class Failed(Exception):
    """A program in a Debian did not end with exit code 0."""


@dataclass
class User:
    """Whom a program runs as. A `confined` one can gain no privilege, as with Docker's `no-new-privileges`."""

    uid: int = 0
    gid: int = 0
    confined: bool = False

    def command(self) -> list[str]:
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        return ["setpriv", *ids, *(["--no-new-privs", "--bounding-set=-all"] if self.confined else [])]


class Mount(NamedTuple):
    """What of this machine is seen where, `rw` or `ro`."""

    source: Path
    target: str
    mode: str


@dataclass
class Root:
    """A directory with a Debian in it."""

    path: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: User = field(default_factory=User)
    folder: str = "/"

    def inside(self, path: str) -> Path:
        """Where a path of that Debian is on this machine."""
        return self.path / path.lstrip("/")

    def copy(self, path: Path) -> Root:
        """Another one like it."""
        subprocess.run(["cp", "-a", "--reflink=auto", self.path, path], check=True)
        return Root(path)

    def run(self, command: Sequence[str], *, lent: bool = False) -> None:
        """Run a program with this machine's network. Blocks; raises Failed, with what it said.

        `lent`: with what pip needs here.
        """
        variables, files = _lent() if lent else ({}, [])
        mounts = [Mount(file, str(file), "ro") for file in files]
        whole = self._command(command, variables, mounts)
        done = subprocess.run(whole, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise Failed(f"exit code {done.returncode}\n{done.stdout.decode(errors='replace')}")

    def start(self, command: Sequence[str], volumes: Mapping[Path, str], log: Path) -> Process:
        """Start a program as containers run: a network of its own, nothing writable but `volumes` and /tmp."""
        mounts = [Mount(folder, target, "rw") for folder, target in volumes.items()]
        whole = self._command(command, {}, mounts, ["--net"])
        settings = {**os.environ, "READ_ONLY": "1", "ALONE": FOREIGN_ADDRESS}
        with log.open("wb") as output:
            outer = subprocess.Popen(whole, env=settings, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        process = Process(outer, log, self)
        process.wait_inside()
        return process

    def inner(self, command: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
        """The command line that, within the directory, runs a program as the user, in the folder and environment."""
        pairs = [f"{name}={value}" for name, value in {**self.environment, **(variables or {})}.items()]
        return [*self.user.command(), "env", "-i", "-C", self.folder, *pairs, *command]

    def _command(
        self,
        command: Sequence[str],
        variables: Mapping[str, str],
        mounts: Sequence[Mount],
        namespaces: Sequence[str] = (),
    ) -> list[str]:
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *namespaces]
        places = [part for mount in mounts for part in (str(mount.source), mount.target, mount.mode)]
        return [*unshare, "sh", "-c", _ENTER, "sh", str(self.path), *places, "--", *self.inner(command, variables)]


@dataclass
class Process:
    """A program that `Root.start` started; it is process 1 of its namespaces."""

    outer: subprocess.Popen[bytes]
    log: Path
    root: Root

    @property
    def running(self) -> bool:
        return self.outer.poll() is None

    def beside(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run another program of the directory next to it, as `docker exec` does. Blocks."""
        enter = ["nsenter", f"--target={self._pid()}", "--mount", "--pid", "--net", "--root", "--wd=/"]
        return subprocess.run([*enter, *self.root.inner(command)], capture_output=True, text=True, check=False)

    def network(self) -> list[str]:
        """The beginning of a command line that runs a program of this machine in its network."""
        return ["nsenter", f"--target={self._pid()}", "--net"]

    def stop(self, number: signal.Signals, timeout_s: float) -> int:
        """Send it a signal, and return its exit code. Blocks; raises TimeoutExpired."""
        os.kill(self._pid(), number)
        return self.outer.wait(timeout_s)

    def kill(self) -> None:
        """End it and all it started, at once."""
        self.outer.kill()
        self.outer.wait()

    def wait_inside(self) -> None:
        """Wait until it is in its directory, or has ended. Before that, it is still the shell that mounts."""
        while self.running:
            try:
                if os.readlink(f"/proc/{self._pid()}/root") != "/":
                    return
            except (FileNotFoundError, ProcessLookupError):
                pass  # not there yet, or not any more
            time.sleep(0.01)

    def _pid(self) -> int:
        """Its process id on this machine. Raises ProcessLookupError."""
        try:
            children = Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children").read_text().split()
        except FileNotFoundError:
            children = []
        if not children:
            raise ProcessLookupError("it has ended")
        return int(children[0])


def make(path: Path, packages: Sequence[str] = PACKAGES, suite: str = SUITE, mirror: str = MIRROR) -> Root:
    """A new Debian in `path`, or the one that is there. Takes about a minute; raises CalledProcessError."""
    if not (path / "etc" / "debian_version").exists() or (path / "debootstrap").exists():
        shutil.rmtree(path, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", "--include=" + ",".join(packages), suite, str(path), mirror]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.copy("/etc/resolv.conf", path / "etc" / "resolv.conf")
    return Root(path)


def _lent() -> tuple[dict[str, str], list[Path]]:
    """The variables with which pip works here, and the files and folders that they name."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        if name.startswith(("global.", "install.")):
            variables.setdefault("PIP_" + name.partition(".")[2].replace("-", "_").upper(), value.strip("'\""))
    found = set()
    for word in (word for value in variables.values() for word in value.split()):
        # The files of an index usually lie beside it.
        path = Path(word.removeprefix("file://")).parent if word.startswith("file://") else Path(word)
        if path.is_absolute() and path.exists():
            found.add(path)
    return variables, sorted(found)
