#!/usr/bin/env python3
"""Check the Debian package: build it in a clean Debian, install it in another, boot that one, and use the service.

    sudo .venv/bin/python tools/check_deb.py [--cache DIR]

The second Debian is booted with systemd-nspawn, so that the unit's sandbox is the kernel's, not a reading of the file.
Where root, debootstrap, systemd-nspawn or namespaces are missing, one line says SKIPPED, and the exit code is 0.

`--cache DIR` keeps both Debians there for the next time. Needs pika and trustme.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import rootfs
import trustme
from using import client_works, expect, report

ROOT: Final = Path(__file__).resolve().parents[1]
BOOT_TIMEOUT_S: Final = 60.0
EXPOSURE_MAX: Final = 15  # of `systemd-analyze security`, in tenths: 1.5
MACHINE: Final = ("ca-certificates", "systemd", "systemd-sysv", "adduser", "init-system-helpers")
APT: Final = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "--yes", "--no-install-recommends")

# Run in a cgroup of its own, $1, which becomes the root of what the booted Debian in $2 sees.
_BOOT: Final = """
set -eu
echo $$ > "$1/cgroup.procs"
exec unshare --mount --pid --cgroup --net --fork --kill-child --mount-proc sh -c '
    mount -t cgroup2 none /sys/fs/cgroup
    ip link set lo up
    exec systemd-nspawn --quiet --register=no --keep-unit --directory="$1" --boot' sh "$2"
"""


def why_not() -> str:
    """Empty if this check can run here, else what is missing."""
    if reason := rootfs.why_not():
        return reason
    if shutil.which("systemd-nspawn") is None:
        return "there is no systemd-nspawn (apt install systemd-container)"
    return "" if _cgroups() else "there is no cgroup version 2 file system"


def _cgroups() -> Path | None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return next((Path(mount[1]) for mount in mounts if mount[2] == "cgroup2"), None)


def build(base: rootfs.Root, work: Path) -> Path:
    """The package, built in a copy of `base`. Takes minutes."""
    print("building", flush=True)
    builder = base.copy(work / "builder")
    builder.run([*APT[:2], "apt-get", "update"])
    builder.run([*APT, "gcc"])
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "*.so", "*.egg-info", "site", "docs", "tests", "interop")
    shutil.copytree(ROOT, builder.inside("/src"), ignore=unwanted)
    builder.run(["env", "AMQPD_REQUIRE_COMPILED=1", "/src/tools/build-deb", "/out"], lent=True)
    return next(builder.inside("/out").iterdir())


class Machine:
    """A booted Debian. Made by `booted`."""

    def __init__(self, pid: int) -> None:
        self._pid: Final = pid

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in it. Blocks."""
        enter = ["nsenter", f"--target={self._pid}", "--all", "env", "-i", f"PATH={rootfs.PATH}", "HOME=/root"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False)

    def does(self, *command: str) -> bool:
        return self.run(*command).returncode == 0

    def says(self, *command: str) -> str:
        done = self.run(*command)
        return (done.stdout + done.stderr).strip()

    def login(self, host: str, user: str, password: str) -> bool:
        """Whether a client of this machine can work in the booted one's network."""
        return client_works(["nsenter", f"--target={self._pid}", "--net"], host, 5672, user, password, "/")

    def wait_for(self, *command: str) -> bool:
        """Run a command until it succeeds; False if it does not in time."""
        deadline = time.monotonic() + BOOT_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.does(*command):
                return True
            time.sleep(0.2)
        return False


@contextmanager
def booted(root: rootfs.Root) -> Iterator[Machine]:
    """Boot the Debian in a directory, and take it away again. Ends the program if it does not boot."""
    mounted = _cgroups()
    assert mounted is not None
    group = mounted / f"amqpd-check-{os.getpid()}"
    group.mkdir()
    with tempfile.TemporaryFile() as console:
        command = ["sh", "-c", _BOOT, "sh", str(group), str(root.path)]
        outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            machine = Machine(_init_of(outer))
            if not machine.wait_for("systemctl", "is-system-running", "--wait"):
                console.seek(0)
                raise SystemExit(f"it did not boot:\n{console.read().decode(errors='replace')}")
            yield machine
        finally:
            outer.kill()  # and with it, by --kill-child and the process namespaces, everything within
            outer.wait()
            _remove(group)


def _init_of(outer: subprocess.Popen[bytes]) -> int:
    """The process id, on this machine, of the process 1 that systemd-nspawn started."""
    deadline = time.monotonic() + BOOT_TIMEOUT_S
    while time.monotonic() < deadline and outer.poll() is None:
        pid, depth = outer.pid, 0
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid, depth = int(children[0]), depth + 1
            if depth == 2 and Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return pid
        time.sleep(0.05)
    raise SystemExit("systemd-nspawn did not start systemd")


def _remove(group: Path) -> None:
    """Remove a cgroup with those in it, as soon as the kernel lets their last processes go."""
    for _attempt in range(100):
        try:
            for folder, _folders, _files in os.walk(group, topdown=False):
                os.rmdir(folder)
            return
        except OSError:
            time.sleep(0.05)


def check_service(machine: Machine) -> None:
    print("the service")
    expect("is enabled and started by the installation", machine.wait_for("systemctl", "is-active", "amqpd"))
    said = machine.says("systemd-analyze", "verify", "amqpd.service")
    expect(f"has a unit without mistakes {said}".strip(), not said)
    done = machine.run("systemd-analyze", "security", "--no-pager", f"--threshold={EXPOSURE_MAX}", "amqpd.service")
    expect(f"has a sandbox: {done.stdout.strip().splitlines()[-1].lstrip('→ ')}", done.returncode == 0)
    expect("is found by amqpctl", machine.wait_for("amqpctl", "status"))
    expect("runs the compiled message path", "compiled" in machine.says("amqpd", "--version"))
    expect("lets a client in", machine.login("127.0.0.1", "guest", "guest"))
    owner = machine.says("stat", "-c", "%U %a", "/var/lib/amqpd", "/etc/amqpd/amqpd.toml")
    expect("keeps its data and its configuration from others", owner == "amqpd 700\nroot 640")
    pid = machine.says("systemctl", "show", "--property=MainPID", "--value", "amqpd")
    status = machine.says("cat", f"/proc/{pid}/status")
    expect("is confined by the kernel", "Seccomp:\t2" in status and "NoNewPrivs:\t1" in status)
    expect("has no capabilities", "CapBnd:\t0000000000000000" in status)


def check_reload(machine: Machine) -> None:
    print("a change")
    machine.run("sed", "-i", 's/^#log.level = .*/log.level = "debug"/', "/etc/amqpd/amqpd.toml")
    check = ["amqpd", "config", "check", "--config", "/etc/amqpd/amqpd.toml"]
    expect("is found right", machine.does(*check))
    expect("is taken over by a reload", machine.does("systemctl", "reload", "amqpd"))
    expect("and logged", machine.wait_for("sh", "-c", "journalctl --unit amqpd | grep -q log.level"))
    expect("keeps the node running", machine.does("amqpctl", "status"))
    expect("survives a restart", machine.does("systemctl", "restart", "amqpd"))
    expect("with what it knew", machine.wait_for("sh", "-c", "amqpctl list queues | grep -q kept"))


def check_tls(machine: Machine, root: rootfs.Root) -> None:
    print("TLS, within the sandbox")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(root.inside("/etc/amqpd/ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(root.inside("/etc/amqpd/node.pem"))
    lines = 'tls_listeners = ["127.0.0.1:5671"]\\nssl_options.certfile = "/etc/amqpd/node.pem"'
    machine.run("sed", "-i", f"$a {lines}", "/etc/amqpd/amqpd.toml")
    machine.run("chgrp", "amqpd", "/etc/amqpd/node.pem")
    machine.run("chmod", "640", "/etc/amqpd/node.pem")
    expect("is there after a restart", machine.does("systemctl", "restart", "amqpd"))
    expect("and the node runs", machine.wait_for("amqpctl", "status"))
    context = "import socket, ssl; c = ssl.create_default_context(cafile='/etc/amqpd/ca.pem'); "
    code = context + "c.wrap_socket(socket.create_connection(('localhost', 5671)), server_hostname='localhost')"
    expect("with a certificate that clients believe", machine.does("python3", "-c", code))


def check_upgrade(machine: Machine, package: str) -> None:
    print("upgrading")
    changed = machine.says("md5sum", "/etc/amqpd/amqpd.toml")
    before = machine.says("systemctl", "show", "--property=MainPID", "--value", "amqpd")
    expect("goes through", machine.does("dpkg", "--install", package))
    expect("runs the new program", machine.wait_for("amqpctl", "status"))
    after = machine.says("systemctl", "show", "--property=MainPID", "--value", "amqpd")
    expect("and not the old one", after not in ("0", before))
    expect("keeps a configuration that was changed", machine.says("md5sum", "/etc/amqpd/amqpd.toml") == changed)
    machine.run("systemctl", "disable", "--now", "amqpd")
    expect("goes through again", machine.does("dpkg", "--install", package))
    expect("leaves a disabled service disabled", not machine.does("systemctl", "is-enabled", "amqpd"))
    expect("and stopped", not machine.does("systemctl", "is-active", "amqpd"))


def check_purge(machine: Machine) -> None:
    print("removing and purging")
    expect("stops the service", machine.does("apt-get", "remove", "--yes", "amqpd"))
    expect("which is gone", not machine.does("systemctl", "is-active", "amqpd"))
    expect("keeps the data", machine.does("test", "-e", "/var/lib/amqpd/amqpd.lock"))
    expect("and the configuration", machine.does("test", "-e", "/etc/amqpd/amqpd.toml"))
    expect("purges", machine.does("apt-get", "purge", "--yes", "amqpd"))
    paths = ("/usr/lib/amqpd", "/usr/bin/amqpd", "/etc/amqpd", "/var/lib/amqpd", "/var/log/amqpd")
    left = [path for path in paths if machine.does("test", "-e", path)]
    expect(f"leaves nothing behind {left or ''}", not left)
    expect("nor its user", not machine.does("getent", "passwd", "amqpd"))


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the Debian package, install it, boot the result and use it.")
    parser.add_argument("--cache", type=Path, help="keep the clean Debians in this folder, and take them from there")
    parser.add_argument("--deb", type=Path, help="check this package instead of building one")
    options = parser.parse_args()
    if reason := why_not():
        print(f"*** SKIPPED the check of the Debian package: {reason} ***", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="amqpd-deb-") as folder:
        work = Path(folder)
        bases = options.cache or work
        package = options.deb or build(rootfs.make(bases / "base"), work)
        print(f"installing {package.name}, {package.stat().st_size // 2**20} MiB", flush=True)
        machine_root = rootfs.make(bases / "machine", MACHINE).copy(work / "installed")
        shutil.copy(package, machine_root.inside("/root"))
        machine_root.run([*APT[:2], "apt-get", "update"])
        machine_root.run([*APT, f"/root/{package.name}"])
        with booted(machine_root) as machine:
            check_service(machine)
            check_reload(machine)
            check_tls(machine, machine_root)
            check_upgrade(machine, f"/root/{package.name}")
            check_purge(machine)
    report()


if __name__ == "__main__":
    main()
