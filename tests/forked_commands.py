"""Many runs of a program in little time: each is a fork of a process that has imported it already.

A run is as real as any: its own process, with the folder, the environment and the three streams of whoever calls the
shim. Only the seconds that Python takes to import are spared. ``python -m tests.forked_commands SOCKET KIND`` is that
process; ``KIND`` is ``command``, the command line, or ``python``, an interpreter that runs modules of the worker.
"""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Kind = Literal["command", "python"]

MOST_BYTES = 1 << 20
LIBRARIES = ("torch", "open_clip", "worker.models.registry", "worker.serving.consumer")
SHIM = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as call:
    call.connect({address!r})
    told = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(call, [told], [0, 1, 2])
    sys.exit(int(call.recv(8) or b"70"))
"""


@contextmanager
def forked_commands(shim: Path, kind: Kind = "command") -> Iterator[None]:
    """Make ``shim`` the command ``lodestar`` while the block runs, or an interpreter for ``-m MODULE``."""
    # Not in the test's own folder: the path of a socket may not be longer than 107 characters.
    with tempfile.TemporaryDirectory(prefix="lodestar-") as folder:
        address = f"{folder}/s"
        shim.write_text(SHIM.format(python=sys.executable, address=address))
        shim.chmod(0o755)
        command = [sys.executable, "-m", "tests.forked_commands", address, kind]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == b"ready\n"
                yield
            finally:
                process.terminate()


def command_line() -> Callable[[list[str]], object]:
    """The program ``lodestar``, imported."""
    from app.cli.main import main

    for name in ("commands.pictures", "following", "finishing", "table"):
        __import__(f"lodestar.cli.{name}")
    __import__("lodestar.client")
    return lambda words: main()


def interpreter() -> Callable[[list[str]], object]:
    """One that runs modules, the worker's libraries imported."""
    for name in LIBRARIES:
        __import__(name)
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401  # its names are imported when used
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401

    def run_module(words: list[str]) -> object:
        """As ``python [-P] -m MODULE ARGUMENT...``."""
        at = words.index("-m") + 1
        sys.argv = words[at:]
        return runpy.run_module(words[at], run_name="__main__", alter_sys=True)

    return run_module


def serve(address: str, kind: str) -> None:
    """Fork for each call, until we are ended."""
    main = interpreter() if kind == "python" else command_line()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who answer calls
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            call, _ = server.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                server.close()
                answer(call, main)
                os._exit(0)
            call.close()


def answer(call: socket.socket, main: Callable[[list[str]], object]) -> None:
    """Run one command in a process of its own, and send its exit code."""
    told, streams, _, _ = socket.recv_fds(call, MOST_BYTES, 3)
    child = os.fork()
    if child == 0:
        call.close()
        os._exit(run(json.loads(told), streams, main))
    for stream in streams:
        os.close(stream)
    with suppress(BrokenPipeError):
        call.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def run(
    told: tuple[list[str], str, dict[str, str]], streams: list[int], main: Callable[[list[str]], object]
) -> int:
    """The exit code of the command."""
    words, folder, environment = told
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["lodestar", *words]
    try:
        main(words)
    except SystemExit as end:
        if isinstance(end.code, str):  # as the interpreter does
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
