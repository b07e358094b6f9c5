import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.stack import child as processes
from app.stack import child_log
from app.stack.child import EX_CONFIG, Child, ChildFailedError, ChildSpec, backoff_s
from app.stack.supervisor import StopRequested, Supervisor


def script(name: str, code: str, *, last: bool = False, grace_s: float = 5.0) -> ChildSpec:
    """A child that runs a few lines of Python."""
    return ChildSpec(name, (sys.executable, "-S", "-c", code), grace_s=grace_s, last=last)


SLEEPER = "import time; print('up', flush=True); time.sleep(600)"


def sleep_until(supervisor: Supervisor, condition: Callable[[], object], *, within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        supervisor.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_of(child: Child) -> int:
    assert child.pid is not None
    return child.pid


@pytest.fixture
def said() -> list[str]:
    """The supervisor's messages."""
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    """A supervisor that has not been entered yet."""
    return Supervisor(tmp_path, say=said.append)


@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_that_is_killed_is_started_again(
    supervisor: Supervisor, said: list[str], kill: signal.Signals
) -> None:
    with supervisor:
        child = supervisor.start(script("api", SLEEPER))
        first = pid_of(child)
        sleep_until(supervisor, lambda: child.log.tail(1))
        os.kill(first, kill)
        sleep_until(supervisor, lambda: child.pid not in {None, first})
        assert is_alive(pid_of(child))
    assert said == [f"api was killed by {kill.name}; starting it again"]


def test_what_a_dead_child_has_started_goes_with_it(supervisor: Supervisor) -> None:
    code = "import os, time; pid = os.fork(); print(pid, flush=True) if pid else None; time.sleep(600)"
    with supervisor:
        child = supervisor.start(script("worker-1", code))
        sleep_until(supervisor, lambda: child.log.tail(1))
        grandchild = int(child.log.tail(1)[0])
        os.kill(pid_of(child), signal.SIGKILL)
        sleep_until(supervisor, lambda: not is_alive(grandchild))


def test_a_child_that_keeps_dying_at_the_start_is_given_up_with_the_end_of_its_log(
    supervisor: Supervisor,
) -> None:
    with supervisor:
        supervisor.start(script("worker-1", "raise SystemExit('cannot open the device')"))
        with pytest.raises(ChildFailedError, match=r"(?s)worker-1 keeps dying.*cannot open the device"):
            supervisor.watch()


def test_a_child_that_keeps_dying_later_is_not_given_up(supervisor: Supervisor, said: list[str]) -> None:
    with supervisor:
        supervisor.is_up = True
        child = supervisor.start(script("worker-1", "raise SystemExit(9)"))
        sleep_until(supervisor, lambda: child.deaths >= 4)
    assert said[:4] == ["worker-1 ended with exit code 9; starting it again"] * 4


def test_a_wrong_configuration_ends_everything_with_its_one_line(
    supervisor: Supervisor, said: list[str]
) -> None:
    code = f"import sys; print('warming up'); print('no such model', file=sys.stderr); sys.exit({EX_CONFIG})"
    with supervisor:
        pid = pid_of(supervisor.start(script("api", SLEEPER)))
        supervisor.start(script("worker-1", code))
        with pytest.raises(ChildFailedError) as raised:
            supervisor.watch()
    assert raised.value.message == "no such model"
    assert said == []
    assert not is_alive(pid)


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_the_sleep_and_then_the_children(
    supervisor: Supervisor, asked: signal.Signals
) -> None:
    handler = signal.getsignal(asked)
    with supervisor:
        pid = pid_of(supervisor.start(script("api", SLEEPER)))
        os.kill(os.getpid(), asked)
        with pytest.raises(StopRequested):
            supervisor.watch()
    assert not is_alive(pid)
    assert signal.getsignal(asked) is handler


def test_children_that_others_need_end_last(supervisor: Supervisor, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep({delay_s}); open({file!r}, 'a').write({name!r} + ' '); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('up', flush=True); time.sleep(600)\n"
    )
    file = str(tmp_path / "ends")
    with supervisor:
        children = [
            supervisor.start(script("valkey", code.format(delay_s=0, file=file, name="valkey"), last=True)),
            supervisor.start(script("worker-1", code.format(delay_s=0.5, file=file, name="worker"))),
        ]
        sleep_until(supervisor, lambda: all(child.log.tail(1) for child in children))
    assert Path(file).read_text() == "worker valkey "


def test_a_child_that_will_not_end_is_killed_when_its_grace_is_over(supervisor: Supervisor) -> None:
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
    with supervisor:
        child = supervisor.start(script("worker-1", deaf, grace_s=0.3))
        sleep_until(supervisor, lambda: child.log.tail(1))
        pid = pid_of(child)
        start = time.monotonic()
        supervisor.stop()
        assert 0.3 <= time.monotonic() - start < 20
        assert not is_alive(pid)


def test_logs_are_passed_on_when_wanted_and_the_last_run_is_kept(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "api.log").write_text("of the run before\n")
    with Supervisor(tmp_path, say=said.append, verbose=True) as supervisor:
        supervisor.start(script("api", SLEEPER))
        sleep_until(supervisor, lambda: said)
    assert said == ["api | up"]
    assert (tmp_path / "api.log.1").read_text() == "of the run before\n"


def test_a_child_that_never_stops_talking_fills_no_disk(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_log, "MOST_BYTES", 1 << 20)
    code = (
        "import os, time\n"
        "while True: os.write(1, b'out of descriptors\\n' * 5000); time.sleep(0.02)\n"  # some 5 MB/s
    )
    files = [tmp_path / "api.log", tmp_path / "api.log.1"]
    with supervisor:
        supervisor.start(script("api", code))
        sleep_until(supervisor, files[1].exists)
        for _ in range(20):
            supervisor.sleep(0.1)
            # A second's worth above the bound, since this machine may be busy.
            assert all(file.stat().st_size < 6 << 20 for file in files)
    assert files[1].stat().st_size == 1 << 20


def test_a_child_that_dies_slowly_at_each_start_is_given_up_too(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STABLE_S", 0.0)  # so each of them counts as one that had started well
    with supervisor:
        supervisor.start(script("worker-1", "raise SystemExit('out of memory')"))
        with pytest.raises(ChildFailedError, match="worker-1 keeps dying"):
            sleep_until(supervisor, lambda: False)


def test_a_setting_that_is_spoilt_while_everything_is_up_ends_nothing_else(
    supervisor: Supervisor, said: list[str]
) -> None:
    code = f"import sys; print('no such model', file=sys.stderr); sys.exit({EX_CONFIG})"
    with supervisor:
        pid = pid_of(supervisor.start(script("api", SLEEPER)))
        supervisor.is_up = True
        supervisor.start(script("worker-1", code))
        sleep_until(supervisor, lambda: len(said) >= 2)
        assert is_alive(pid)
    assert said[0] == "worker-1 refuses its configuration: no such model; starting it again"


def test_the_pauses_between_starts_grow_up_to_ten_seconds_and_stay_there() -> None:
    assert [backoff_s(deaths) for deaths in range(1, 7)] == [0.25, 0.5, 1, 2, 4, 8]
    assert {backoff_s(deaths) for deaths in range(7, 5000)} == {10}  # hours of dying


def test_a_child_for_which_there_is_no_room_now_is_tried_again(
    supervisor: Supervisor, said: list[str], tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    with Supervisor(logs, say=said.append) as supervisor:
        supervisor.is_up = True
        child = supervisor.start(script("api", SLEEPER))
        first = pid_of(child)
        shutil.rmtree(logs)  # as good as a full disk or table of processes: it cannot be started
        os.kill(first, signal.SIGKILL)
        sleep_until(supervisor, lambda: len(said) >= 2)
        assert said[1].startswith("api cannot be started now: ")
        logs.mkdir()
        sleep_until(supervisor, lambda: child.pid not in {None, first})


def test_a_signal_without_a_name_and_a_closed_terminal_end_nothing(tmp_path: Path) -> None:
    tried: list[str] = []

    def closed(message: str) -> None:
        tried.append(message)
        raise BrokenPipeError

    with Supervisor(tmp_path, say=closed) as supervisor:
        supervisor.is_up = True
        supervisor.start(script("api", "import os; os.kill(os.getpid(), 40)"))
        sleep_until(supervisor, lambda: len(tried) >= 2)
    assert tried[0] == "api was killed by signal 40; starting it again"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_not_even_the_killing_of_the_supervisor_leaves_an_orphan(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from app.stack.child import ChildSpec; from app.stack.supervisor import Supervisor\n"
        f"with Supervisor(Path({str(tmp_path)!r}), say=print) as supervisor:\n"
        f"    child = supervisor.start(ChildSpec('api', (sys.executable, '-S', '-c', {SLEEPER!r})))\n"
        "    while not child.log.tail(1): supervisor.sleep(0.02)\n"
        "    print(child.pid, flush=True); supervisor.watch()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    end = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < end
        time.sleep(0.02)
