"""What the system knows of a process: CPU time and resident memory, in one call each.

Exact on Linux (/proc and the process's CPU clock); elsewhere from `ps`, in hundredths of a second. Figures are of one
process with all its threads, also those that have ended; children are not counted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

__all__ = ["Gone", "cpu_s", "rss_bytes"]

LINUX = sys.platform.startswith("linux")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Gone(Exception):
    """There is no such process (any more)."""


def cpu_s(pid: int) -> float:
    """User and system seconds since the process began. Raises Gone."""
    if not LINUX:
        return _clock(_ps(pid, "time"))
    try:
        # The kernel's number for the CPU clock of a whole process, as clock_getcpuclockid makes it.
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        raise Gone(f"process {pid} is gone") from None


def rss_bytes(pid: int) -> int:
    """Bytes of memory in use, pages shared with others included. Raises Gone."""
    if not LINUX:
        return int(_ps(pid, "rss")) * 1024
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        raise Gone(f"process {pid} is gone") from None


def _ps(pid: int, column: str) -> str:
    done = subprocess.run(["ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, timeout=10)
    if done.returncode:
        raise Gone(f"process {pid} is gone")
    return done.stdout.strip()


def _clock(text: str) -> float:
    """Seconds of `ps`'s [[days-]hours:]minutes:seconds[.hundredths]."""
    days, _, rest = text.rpartition("-")
    total = 0.0
    for part in rest.split(":"):
        total = total * 60 + float(part)
    return total + int(days or 0) * 86_400
