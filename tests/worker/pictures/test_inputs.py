"""The files of a job in the artifact store."""

import base64
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from jobs.errors import InvalidFileError, JobFailedError, LodestarError
from jobs.pictures.reader import KEPT_PIXELS, digest_of, read_picture, to_png
from jobs.requests.objectives import ImageObjective
from jobs.requests.request import ResolvedRequest
from jobs.requests.tasks import EmbeddingTask, ImportTask, QueryTask, ScoreTask
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import input_key
from tests.brought_pictures import encoded, greys, lying, refused, scene, with_scans
from tests.worker.running import Running
from worker.engine.tasks import Done, run_task
from worker.engine.work import Failed, Finished, Stopped, Work
from worker.facts import Facts
from worker.models.registry import ModelRegistry
from worker.pictures.inputs import Inputs, StoredPicture, read_inputs
from worker.pictures.levels import levels

Ask = Callable[..., ResolvedRequest]
JOB = "a" * 28


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(str(tmp_path))


def guided(ask: Ask, image: str) -> ResolvedRequest:
    """A request that is guided by one picture, as it is stored."""
    request = ask(guidance={"objectives": [{"type": "image", "image": image}]})
    assert request.guidance is not None
    assert isinstance(request.guidance.objectives[0], ImageObjective)
    return request


def in_base64(file: bytes) -> str:
    return base64.b64encode(file).decode()


class TestPicturesThatAJobIsGuidedBy:
    def test_are_read_once_and_small_and_are_those_that_were_submitted(
        self, ask: Ask, artifacts: ArtifactStore
    ) -> None:
        png = to_png(scene())
        artifacts.put(input_key(JOB, digest_of(png)), png)
        name = f"sha256:{digest_of(png)}"
        (read,) = read_inputs(JOB, guided(ask, name), artifacts).named.items()
        assert read[0] == name
        assert read[1].dtype is torch.uint8
        assert torch.equal(read[1], levels(scene()))

    def test_are_read_as_large_and_as_transparent_as_they_are_kept(
        self, ask: Ask, artifacts: ArtifactStore
    ) -> None:
        for mode, channels in (("RGB", 3), ("RGBA", 4)):
            picture = scene(700, 600).convert(mode)
            if mode == "RGBA":
                picture.putalpha(scene(700, 600).getchannel(0))
            png = to_png(picture)
            artifacts.put(input_key(JOB, digest_of(png)), png)
            (read,) = read_inputs(JOB, guided(ask, f"sha256:{digest_of(png)}"), artifacts).named.values()
            assert read.shape == (channels, 600, 700)
            assert torch.equal(read, levels(picture))

    def test_fail_the_job_if_they_are_others_by_now_or_gone(self, ask: Ask, artifacts: ArtifactStore) -> None:
        digest = digest_of(to_png(scene()))
        request = guided(ask, f"sha256:{digest}")
        with pytest.raises(JobFailedError, match="was deleted"):
            read_inputs(JOB, request, artifacts)
        artifacts.put(input_key(JOB, digest), to_png(greys().convert("RGB")))
        with pytest.raises(JobFailedError, match="not the one that it was"):
            read_inputs(JOB, request, artifacts)

    def test_are_read_of_requests_that_hold_them(self, ask: Ask, artifacts: ArtifactStore) -> None:
        """As older versions stored them: upright, on white, of 8 bits, and no larger than is needed."""
        large = guided(ask, in_base64(encoded(scene(2000, 1000), "JPEG", quality=50)))
        (kept,) = read_inputs(JOB, large, artifacts).named.values()
        assert kept.shape[1] * kept.shape[2] <= KEPT_PIXELS
        turned, upright = (
            next(iter(read_inputs(JOB, guided(ask, in_base64(file)), artifacts).named.values()))
            for file in (lying(6, "PNG"), encoded(scene()))
        )
        assert torch.equal(turned, upright)

    @pytest.mark.parametrize("name", [name for name, file in refused().items() if len(file) < 140_000])
    def test_that_cannot_be_read_fail_their_job_in_one_way(
        self, ask: Ask, artifacts: ArtifactStore, name: str
    ) -> None:
        request = guided(ask, in_base64(refused()[name]))
        with pytest.raises(InvalidFileError, match="a picture of the request is"):
            read_inputs(JOB, request, artifacts)

    def test_with_a_thousand_scans_take_no_time(self, ask: Ask, artifacts: ArtifactStore) -> None:
        with pytest.raises(InvalidFileError, match="scans"):
            read_inputs(JOB, guided(ask, in_base64(with_scans(1500, side=4000))), artifacts)


class TestPicturesThatATaskLooksAt:
    def test_are_not_read_before_they_are_looked_at(self, artifacts: ArtifactStore) -> None:
        keys = tuple(f"{JOB}/uploads/{number}.png" for number in range(256))
        for task in (
            ScoreTask(clip="c", pictures=keys),
            EmbeddingTask(clip="c", name="x", pictures=keys[:200], minus=keys[200:]),
        ):
            pictures = read_inputs(JOB, task, artifacts).pictures
            assert tuple(picture.key for picture in pictures) == keys
        with pytest.raises(JobFailedError, match="was deleted"):
            pictures[0].read()

    def test_are_read_as_small_as_they_are_of_use(self, artifacts: ArtifactStore) -> None:
        artifacts.put("made/0.png", encoded(scene(2048, 2048)))
        (picture,) = read_inputs(JOB, QueryTask(clip="c", picture="made/0.png"), artifacts).pictures
        assert picture.read().shape == (3, 512, 512)
        artifacts.put("made/1.png", encoded(scene()))
        whole = StoredPicture("made/1.png", artifacts).read()
        torch.testing.assert_close(whole, levels(read_picture(encoded(scene()), "it")) / 255)


@dataclass(frozen=True)
class Slow:
    """A picture whose store answers when a test says so."""

    answer: Tensor | Exception
    asked: threading.Event = field(default_factory=threading.Event)
    ready: threading.Event = field(default_factory=threading.Event)

    def read(self) -> Tensor:
        self.asked.set()
        assert self.ready.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def running(models: ModelRegistry) -> Iterator[Running]:
    engine = Running(models)
    yield engine
    engine.stop()


def looking(name: str, *pictures: Slow) -> Work:
    """A job that looks at these pictures."""
    task = ScoreTask(clip="pocket-m", pictures=tuple("abc"[: len(pictures)]))
    return Work(name, task, Inputs(pictures=pictures))  # type: ignore[arg-type]


class TestTheEngine:
    def test_serves_others_while_one_job_waits_for_the_store(self, running: Running, ask: Ask) -> None:
        first, second = Slow(torch.rand(3, 40, 40)), Slow(torch.rand(3, 40, 40))
        running.engine.admit(looking("waits", first, second))
        assert first.asked.wait(60)
        running.engine.admit(Work("goes on", ask(steps=2)))
        (outcome,) = running.wait_for("goes on")
        assert isinstance(outcome, Finished)
        assert not second.asked.is_set()  # one picture of a job is in memory at a time
        first.ready.set()
        second.ready.set()
        (outcome,) = running.wait_for("waits")
        assert isinstance(outcome, Done)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (JobFailedError("it is gone"), "it is gone"),
            (OSError(5, "Input/output error"), "could not be read: Input/output error"),
            (MemoryError(), "internal error: MemoryError"),
            (ValueError("unheard of"), "internal error: ValueError"),
        ],
    )
    def test_fails_the_job_whose_picture_cannot_be_read_and_goes_on(
        self, running: Running, ask: Ask, error: Exception, told: str
    ) -> None:
        picture = Slow(error)
        picture.ready.set()
        running.engine.admit(looking("fails", picture))
        running.engine.admit(Work("goes on", ask(steps=1)))
        failed, finished = running.wait_for("fails", "goes on")
        assert isinstance(failed, Failed)
        assert isinstance(failed.error, LodestarError)
        assert told in failed.error.message
        assert isinstance(finished, Finished)

    def test_lets_a_job_go_that_is_told_to_stop_while_the_store_has_not_answered(
        self, running: Running, ask: Ask
    ) -> None:
        picture = Slow(torch.rand(3, 40, 40))
        work = looking("stops", picture)
        running.engine.admit(work)
        assert picture.asked.wait(60)
        work.stop.set()
        (outcome,) = running.wait_for("stops")
        assert isinstance(outcome, Stopped)
        picture.ready.set()
        running.engine.admit(Work("goes on", ask(steps=1)))
        assert isinstance(running.wait_for("goes on")[0], Finished)


def test_an_import_that_fails_names_the_file_as_its_sender_calls_it() -> None:
    task = ImportTask(clip="pocket-s", name="x", file=f"{JOB}/uploads/0.npy", filename="sac_8plus.npy")
    with pytest.raises(InvalidFileError, match=r"^sac_8plus\.npy is no array"):
        next(run_task(task, Inputs(file=b"no numbers"), Facts()))
    older = task.model_copy(update={"filename": ""})
    with pytest.raises(InvalidFileError, match=r"^0\.npy is no array"):
        next(run_task(older, Inputs(file=b"no numbers"), Facts()))


class TestThePictureThatAJobStartsFrom:
    def started(self, ask: Ask, artifacts: ArtifactStore, **fields: object) -> Inputs:
        png = to_png(scene(120, 60))
        artifacts.put(input_key(JOB, digest_of(png)), png)
        init = {"image": f"sha256:{digest_of(png)}", "strength": fields.pop("strength", 0.5)}
        return read_inputs(JOB, ask(init=init | {"fit": fields.pop("fit", "crop")}, **fields), artifacts)

    def test_is_brought_to_the_size_of_the_pictures_to_be_made(
        self, ask: Ask, artifacts: ArtifactStore
    ) -> None:
        whole = levels(scene(120, 60)).float()
        made = {fit: self.started(ask, artifacts, fit=fit).canvas for fit in ("crop", "stretch", "pad")}
        for fit, canvas in made.items():
            assert canvas is not None, fit
            assert (canvas.pixels.dtype, tuple(canvas.shape)) == (torch.uint8, (3, 64, 64))
        pixels = {fit: canvas.pixels.float() for fit, canvas in made.items() if canvas}
        assert (pixels["crop"][:, 0, 0] - whole[:, 0, 30]).abs().max() < 4  # its left quarter is cut off
        assert (pixels["stretch"][:, 0, 0] - whole[:, 0, 0]).abs().max() < 4
        assert torch.equal(pixels["pad"][:, 0], pixels["pad"][:, 16])  # beneath it the picture begins
        assert not torch.equal(pixels["pad"][:, 16], pixels["pad"][:, 20])

    def test_of_its_own_size_is_what_it_is(self, ask: Ask, artifacts: ArtifactStore) -> None:
        png = to_png(scene(64, 64))
        artifacts.put(input_key(JOB, digest_of(png)), png)
        request = ask(init={"image": f"sha256:{digest_of(png)}"})
        canvas = read_inputs(JOB, request, artifacts).canvas
        assert canvas is not None
        assert torch.equal(canvas.pixels, levels(scene(64, 64)))

    def test_is_not_prepared_where_nothing_of_it_is_used(self, ask: Ask, artifacts: ArtifactStore) -> None:
        assert self.started(ask, artifacts, strength=1).canvas is None
