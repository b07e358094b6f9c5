"""The share of the machine that other work takes: it lengthens a run's times beyond the service's own."""

import os

import psutil


class Others:
    """Measures from its making on, over the whole machine."""

    def __init__(self) -> None:
        self._busy_s, self._ours_s, self._all_s = _times()

    def share(self) -> float:
        """Part of the machine's processor time, 0 to 1, that neither this process nor those below it have taken."""
        busy_s, ours_s, all_s = _times()
        others_s = (busy_s - self._busy_s) - (ours_s - self._ours_s)
        return max(0.0, others_s) / max(1e-9, all_s - self._all_s)


def _times() -> tuple[float, float, float]:
    """Processor seconds since the machine's start: busy, ours, and all there were."""
    machine = psutil.cpu_times()
    idle_s = machine.idle + getattr(machine, "iowait", 0.0)
    guests_s = getattr(machine, "guest", 0.0) + getattr(machine, "guest_nice", 0.0)  # part of user and nice
    all_s = sum(machine) - guests_s
    return all_s - idle_s, _ours_s(), all_s


def _ours_s() -> float:
    ended = os.times()
    taken_s = ended.user + ended.system + ended.children_user + ended.children_system
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        taken_s += times.user + times.system
    return taken_s
