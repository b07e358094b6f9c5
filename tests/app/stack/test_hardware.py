import pytest

from app.stack import hardware


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 8)


NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.parametrize(("workers", "threads"), [(None, "8"), (1, "8"), (3, "2"), (20, "1")])
def test_workers_on_a_cpu_share_its_cores_out(workers: int | None, threads: str) -> None:
    shares = hardware.worker_shares(workers, NO_GPU)
    assert shares == [{"LODESTAR_THREADS": threads, "OMP_NUM_THREADS": threads}] * (workers or 1)


def test_a_number_of_threads_that_the_operator_chose_holds() -> None:
    shares = hardware.worker_shares(2, {**NO_GPU, "LODESTAR_THREADS": "3"})
    assert [share["OMP_NUM_THREADS"] for share in shares] == ["3", "3"]


@pytest.mark.parametrize(
    ("workers", "seen"), [(None, ["0", "GPU-5f", "3"]), (2, ["0", "GPU-5f"]), (4, ["0", "GPU-5f", "3", "0"])]
)
def test_each_worker_sees_one_gpu(workers: int | None, seen: list[str]) -> None:
    shares = hardware.worker_shares(workers, {"CUDA_VISIBLE_DEVICES": "0, GPU-5f,3"})
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == seen


def test_gpus_are_left_alone_when_the_cpu_was_chosen() -> None:
    assert hardware.gpus({"CUDA_VISIBLE_DEVICES": "0,1", "LODESTAR_DEVICE": "cpu"}) == []
