"""What a worker makes for a tenant goes where that tenant alone finds it."""

from pathlib import Path

import pytest
from redis import Redis

from jobs.requests.request import GenerateRequest
from jobs.requests.tasks import EmbeddingTask
from jobs.resolve.request import resolve
from jobs.status.job import JobStatus
from jobs.status.view import View
from jobs.storage.embeddings import EmbeddingLibrary
from jobs.storage.segments import Segments
from tests.worker.serving.test_best_of_n import run
from tests.worker.serving.test_executions import Ask, House
from worker.models.registry import ModelRegistry


@pytest.fixture
def house(redis: Redis, models: ModelRegistry, tmp_path: Path) -> House:
    """A house whose jobs are one tenant's."""
    house = House(redis, models, tmp_path)
    house.queue = house.queue.seen_by(View("studio", is_whole=False))
    return house


def test_an_embedding_is_kept_for_its_tenant_and_used_by_its_tenant(
    house: House, models: ModelRegistry, ask: Ask
) -> None:
    own, everyone = EmbeddingLibrary(house.artifacts, "studio"), EmbeddingLibrary(house.artifacts)
    with house.running() as worker:
        drawn = run(house, worker, ask(steps=1))
        keys = tuple(image.key for image in house.queue.images(drawn.id))
        made = run(house, worker, EmbeddingTask(clip="pocket-s", name="warm", pictures=keys))
        assert made.status is JobStatus.SUCCEEDED
        assert [info.name for info in own.list()] == ["warm"]
        assert everyone.list() == ()
        near = {"objectives": [{"type": "embedding", "embedding": "warm"}]}
        asked = GenerateRequest.model_validate({"prompt": "a", "steps": 1, "guidance": near})
        likened = resolve(asked, models.catalog, own)
        assert run(house, worker, likened).status is JobStatus.SUCCEEDED
        # The name alone leads nobody else to it.
        house.queue = house.queue.seen_by(View("other", is_whole=False))
        job = run(house, worker, likened)
        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert "deleted" in job.error.message


def test_what_is_searched_says_whose_it_is(house: House, models: ModelRegistry, ask: Ask) -> None:
    segments = Segments(house.artifacts, models.catalog.aesthetic_scorer.id)
    with house.running() as worker:
        run(house, worker, ask(steps=1))
    assert [segments.get(key).tenant for key in segments.keys()] == ["studio"]  # noqa: SIM118
