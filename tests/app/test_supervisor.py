import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.child import EX_CONFIG, Child, ChildFailedError, ChildSpec
from app.supervisor import StopRequested, Supervisor


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
    """What the supervisor has said."""
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
        sleep_until(supervisor, lambda: child.early_deaths >= 4)
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_not_even_the_killing_of_the_supervisor_leaves_an_orphan(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from app.child import ChildSpec; from app.supervisor import Supervisor\n"
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
