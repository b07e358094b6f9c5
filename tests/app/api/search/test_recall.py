"""Inverted lists: how much they find, that what they find is exact, and that filters hold."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from redis import Redis

from app.api.search import inverted
from app.api.search.index import SearchIndex
from benchmarks.search.vectors import Pictures, Vectors
from tests.app.api.search.studio import Studio

WIDTH, ROWS, OF_A_SEGMENT = 64, 12_000, 100
LEAST_RECALL = 0.95
QUERIES = 100


@pytest.fixture(scope="module")
def pictures() -> Vectors:
    """Vectors in clusters, [ROWS, WIDTH]; the last 100 are queries."""
    return Pictures(WIDTH).draw(ROWS + QUERIES, part=1)


@pytest.fixture
def index(studio: Studio, pictures: Vectors, monkeypatch: pytest.MonkeyPatch) -> SearchIndex:
    """An index of them in inverted lists."""
    monkeypatch.setattr("app.api.search.building.EXACT_ROWS", 1000)
    monkeypatch.setattr("app.api.search.index.READ_INTO_MEMORY", 10)
    for number, start in enumerate(range(0, ROWS, OF_A_SEGMENT)):
        studio.write(f"{number:024x}", "1-aa", pictures[start : start + OF_A_SEGMENT].tolist())
    index = studio.index()
    index.open()
    (lists,) = studio.snapshots[0].glob("lists-*")
    assert lists.stat().st_size > ROWS * WIDTH // 8
    return index


def found_by(index: SearchIndex, query: Vectors, limit: int = 10) -> dict[int, float]:
    """Similarities by the number of the picture."""
    return {
        int(each.job_id, 16) * OF_A_SEGMENT + each.index: each.similarity
        for each in index.nearest(query.tolist(), limit)
    }


def recall(index: SearchIndex, pictures: Vectors, left: NDArray[np.intp]) -> float:
    """Part of the true ten nearest that is found among the rows that are left; checks the similarities."""
    hits = 0
    for query in pictures[ROWS:]:
        exact = pictures[:ROWS] @ query
        true = left[np.argsort(-exact[left])[:10]]
        found = found_by(index, query)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        for row, similarity in found.items():
            assert similarity == pytest.approx(float(exact[row]), abs=1e-6)
        hits += len(set(true.tolist()) & found.keys())
    return hits / (10 * QUERIES)


def test_inverted_lists_find_nearly_all_and_compare_exactly(index: SearchIndex, pictures: Vectors) -> None:
    assert recall(index, pictures, np.arange(ROWS)) >= LEAST_RECALL
    found = found_by(index, pictures[ROWS], limit=ROWS)  # as many as there are
    assert len(found) == ROWS


def test_among_dead_rows_the_living_are_found(index: SearchIndex, pictures: Vectors) -> None:
    gone = list(range(0, ROWS // OF_A_SEGMENT, 2))
    for number in gone:
        index.forget(f"{number:024x}", "1-aa")
    left = np.flatnonzero(~np.isin(np.arange(ROWS) // OF_A_SEGMENT, gone))
    assert recall(index, pictures, left) >= LEAST_RECALL
    assert found_by(index, pictures[ROWS], limit=ROWS).keys() == set(left.tolist())
    for number in range(1, ROWS // OF_A_SEGMENT - 1, 2):
        index.forget(f"{number:024x}", "1-aa")
    last = range(ROWS - OF_A_SEGMENT, ROWS)
    assert found_by(index, pictures[ROWS], limit=200).keys() == set(last)  # however far from the query


def test_lists_take_in_what_came_without_training_and_train_again_when_it_is_much(
    index: SearchIndex,
    studio: Studio,
    pictures: Vectors,
    redis: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[int] = []
    train = inverted.trained

    def counted(sample: Vectors, lists: int) -> object:
        trained.append(lists)
        return train(sample, lists)

    monkeypatch.setattr("app.api.search.inverted.trained", counted)
    monkeypatch.setattr("app.api.search.generation.LEAST_FRESH", 500)
    monkeypatch.setattr("app.api.search.generation.MOST_FRESH", 500)
    others = Pictures(WIDTH).draw(14_000, part=2)
    jobs = [studio.make(others[:1000].tolist())]
    index.follow()
    index.maintain()
    assert not index.needs_upkeep()
    assert trained == []
    assert len(index) == ROWS + 1000
    (found,) = index.nearest(others[500].tolist(), 1)
    assert (found.job_id, found.index) == (jobs[0], 500)
    jobs.append(studio.make(others[1000:].tolist()))
    index.follow()
    index.maintain()
    assert trained == [inverted.lists_of(ROWS + 14_000)]
    (found,) = index.nearest(others[5000].tolist(), 1)
    assert (found.job_id, found.index) == (jobs[1], 4000)
