from worker.models.device import CPU_CAPACITY, Device
from worker.settings import WorkerSettings


def test_a_cpu_runs_few_jobs_at_a_time_unless_it_is_told_otherwise() -> None:
    assert Device(WorkerSettings(device="cpu")).capacity == CPU_CAPACITY
    assert Device(WorkerSettings(device="cpu", capacity=9)).capacity == 9
