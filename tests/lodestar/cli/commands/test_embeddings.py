"""The commands about aesthetic embeddings."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.errors import InvalidFileError
from jobs.queue.queue import JobQueue
from jobs.requests.tasks import EmbeddingTask, ImportTask
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.embeddings import EmbeddingLibrary, describe
from tests.app.cli.conftest import settling
from tests.app.conftest import Run
from tests.app.played_worker import PlayedWorker
from tests.app.samples import embedding_file, png
from tests.lodestar.cli.commands.test_listings import on_a_terminal


@pytest.fixture
def asked() -> list[EmbeddingTask | ImportTask]:
    """The tasks that ``keep`` has done."""
    return []


@pytest.fixture
def keep(
    worker: PlayedWorker, artifacts: ArtifactStore, asked: list[EmbeddingTask | ImportTask]
) -> Callable[[str], None]:
    """Keep an embedding for a job that asks for one."""

    def settle(job_id: str) -> None:
        lease = worker.claim(job_id)
        task = lease.request
        assert isinstance(task, EmbeddingTask | ImportTask)
        asked.append(task)
        file = embedding_file(task.name, task.clip)
        EmbeddingLibrary(artifacts).put(task.name, file)
        worker.leases.answer(lease, describe(file, task.name))

    return settle


@pytest.fixture
def done(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> str:
    """A job with two pictures."""
    run("generate", "a red apple", "-n", "2", "--wait", "0")
    capsys.readouterr()
    return worker.succeed(queue.list().data[0].id).job_id


def test_an_embedding_is_made_from_files_and_jobs(
    run: Run,
    done: str,
    queue: JobQueue,
    artifacts: ArtifactStore,
    asked: list[EmbeddingTask | ImportTask],
    keep: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("one.png", "two.png", "grey"):
        Path(name).write_bytes(png())
    words = ["one.png", done, "grey", "--minus", f"{done}/1", "--minus", "two.png"]
    with settling(queue, keep):
        assert (
            run("embeddings", "make", *words, "--name", "warm", "--clip", "pocket-m", "--no-normalize") == 0
        )
    out, err = capsys.readouterr()
    assert out == "warm\n"
    assert err.splitlines()[-1] == "succeeded"
    (task,) = asked
    assert isinstance(task, EmbeddingTask)
    assert (task.name, task.clip, task.normalize) == ("warm", "pocket-m", False)
    assert (len(task.pictures), len(task.minus)) == (4, 2)
    assert sum(key.startswith(done) for key in task.pictures) == 2
    assert sum(key.startswith(done) for key in task.minus) == 1


def test_jobs_alone_make_an_embedding_and_the_job_can_be_printed(
    run: Run,
    done: str,
    queue: JobQueue,
    asked: list[EmbeddingTask | ImportTask],
    keep: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with settling(queue, keep):
        assert run("embeddings", "make", done, "--name", "warm", "--clip", "pocket-m", "--json", "-q") == 0
    out, err = capsys.readouterr()
    job = json.loads(out)
    assert (job["status"], job["result"]["name"], err) == ("succeeded", "warm", "")
    (task,) = asked
    assert isinstance(task, EmbeddingTask)
    assert (task.normalize, len(task.pictures), task.minus) == (True, 2, ())


def test_a_wait_that_is_over_can_be_resumed(
    run: Run, done: str, queue: JobQueue, keep: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("embeddings", "make", done, "--name", "warm", "--clip", "pocket-m", "--wait", "0") == 6
    out, err = capsys.readouterr()
    job_id = queue.list(limit=1).data[0].id
    assert out == ""
    assert f"lodestar wait {job_id}" in err
    keep(job_id)
    assert run("wait", job_id) == 0
    assert capsys.readouterr().out == ""  # there is no picture


def test_a_file_is_imported_under_its_own_name(
    run: Run,
    url: str,
    queue: JobQueue,
    artifacts: ArtifactStore,
    asked: list[EmbeddingTask | ImportTask],
    keep: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent: list[bytes] = []

    def read_and_keep(job_id: str) -> None:
        keep(job_id)
        task = asked[-1]
        assert isinstance(task, ImportTask)
        sent.append(artifacts.get(task.file))

    Path("sac_8plus.pt").write_bytes(b"numbers")
    for words in ([], ["--name", "sac"]):
        with settling(queue, read_and_keep):
            assert run("embeddings", "import", "sac_8plus.pt", "--clip", "pocket-m", *words) == 0
    assert capsys.readouterr().out == "sac_8plus\nsac\n"
    assert sent == [b"numbers", b"numbers"]
    assert run("embeddings", "import", "nowhere.pt") == 1
    assert capsys.readouterr().err == "lodestar: cannot read nowhere.pt: No such file or directory\n"


def test_a_file_that_the_worker_refuses_is_exit_code_3(
    run: Run, url: str, queue: JobQueue, worker: PlayedWorker, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("other.npy").write_bytes(b"no vector")
    refusal = InvalidFileError("the file has no vector", field="file")
    with settling(queue, lambda job_id: worker.fail(job_id, refusal)):
        assert run("embeddings", "import", "other.npy", "--clip", "pocket-m") == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "the file has no vector" in err


def test_embeddings_are_listed_and_shown(
    run: Run, url: str, artifacts: ArtifactStore, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("warm", "cold"):
        EmbeddingLibrary(artifacts).put(name, embedding_file(name))
    assert run("embeddings", "list") == 0
    assert capsys.readouterr().out == "cold\tpocket-s\timport\nwarm\tpocket-s\timport\n"
    assert run("embeddings", "list", "--json") == 0
    assert [info["name"] for info in json.loads(capsys.readouterr().out)] == ["cold", "warm"]
    assert run("embeddings", "show", "warm") == 0
    assert capsys.readouterr().out.splitlines() == [
        "name\twarm",
        "clip\tpocket-s",
        "made from\timport",
        f"digest\t{'d' * 64}",
    ]
    assert run("embeddings", "show", "warm", "--json") == 0
    assert json.loads(capsys.readouterr().out)["made_from"] == "import"
    shown = on_a_terminal("embeddings", "list", "--url", url, COLUMNS="80")
    assert "made from" in shown


def test_an_embedding_is_written_to_a_file_and_deleted(
    run: Run, url: str, artifacts: ArtifactStore, capsys: pytest.CaptureFixture[str]
) -> None:
    file = embedding_file("warm")
    EmbeddingLibrary(artifacts).put("warm", file)
    assert run("embeddings", "export", "warm") == 0
    assert run("embeddings", "export", "warm", "-o", "mine.safetensors") == 0
    assert capsys.readouterr().out == "warm.safetensors\nmine.safetensors\n"
    assert Path("warm.safetensors").read_bytes() == Path("mine.safetensors").read_bytes() == file
    assert run("embeddings", "delete", "warm") == 0
    assert capsys.readouterr().out == "deleted\n"
    assert EmbeddingLibrary(artifacts).list() == ()
    for words in (["show", "warm"], ["export", "warm"], ["delete", "warm"]):
        assert run("embeddings", *words) == 1
        assert "there is no aesthetic embedding 'warm'" in capsys.readouterr().err
    assert run("embeddings", "show", "../../jobs") == 1  # a name is one part of the path
