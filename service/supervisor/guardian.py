"""Runs a command that must not outlive the supervisor: `python guardian.py COMMAND …`.

Standard input is a pipe that the supervisor holds open: when it closes, because the supervisor closes it
or ends in any way, the command is told to stop, and killed if it does not. Uses the standard library alone, so that
it starts in milliseconds. Never restarts anything.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading

GRACE_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command and return its exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the supervisor, which closes the pipe
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, preexec_fn=_die_with_guardian)
    signal.signal(signal.SIGTERM, lambda *_: command.terminate())
    threading.Thread(target=_stop_when_closed, args=(command,), daemon=True).start()
    code = command.wait()
    return code if code >= 0 else 128 - code


def _stop_when_closed(command: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):
        pass
    command.terminate()
    try:
        command.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        command.kill()


def _die_with_guardian() -> None:
    """On Linux the kernel also kills the command when this process is killed outright."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
