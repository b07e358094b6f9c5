"""A night of seconds on the real stack: real pictures, real scores, a real upscaler."""

import pytest

from tests.integration.stack import PATIENCE_S, Stack


def test_the_best_of_a_night_are_enlarged_and_can_be_searched(stack: Stack) -> None:
    client = stack.client
    begun = client.nights.begin("noto red apple", hours=4 / 3600, keep=2, seed=7, steps=5, guidance="fast")
    night = client.nights.wait(begun.id, timeout_s=PATIENCE_S)
    assert (night.status, night.error) == ("succeeded", None)
    assert night.made > 2
    assert [kept.enlarged for kept in night.kept] == [True, True]
    best = sorted((point.score for point in night.race), reverse=True)[:2]
    assert [kept.score for kept in night.kept] == best
    for kept, picture in zip(night.kept, client.nights.pictures(night), strict=True):
        assert (picture.width, picture.height, picture.seed) == (256, 256, kept.seed)
        # Drawn again by its seed, it is the picture that won.
        assert picture.clip_score == pytest.approx(kept.score, abs=0.02)
    assert {job.id for job in client.jobs.list(label=night.label).data} == {
        kept.job_id for kept in night.kept
    }
    assert night.request.select is not None
    assert night.request.guidance is not None
    assert night.request.select.scorer not in night.request.guidance.clips
    found = {hit.job_id for hit in client.search("noto red apple", limit=200).data}
    assert {kept.job_id for kept in night.kept} <= found
    client.nights.delete(night.id)
