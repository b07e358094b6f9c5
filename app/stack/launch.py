"""Replaces itself by a command that gets a signal from the kernel when its parent process ends.

Run as a script by the supervisor: ``python -I -S launch.py <its pid> <signal> <command> [argument ...]``. It stands
between fork and exec so that the supervisor needs no ``preexec_fn``, which is unsafe once there are threads.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(parent: int, signum: int, command: list[str]) -> None:
    """Tie this process to its parent, then become the command. Linux only."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # it went before it could be watched
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
