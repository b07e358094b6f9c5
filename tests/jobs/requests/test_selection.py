from dataclasses import dataclass

import pytest
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError, UnknownModelError
from jobs.requests.guidance import Guidance
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import Selection, Weights, best, rank_scores
from jobs.resolve.request import resolve


@dataclass(frozen=True)
class Made:
    clip_score: float | None
    aesthetic_score: float | None


MADE = [Made(0.3, 5.0), Made(0.1, 9.0), Made(0.2, 1.0), Made(0.3, 4.0)]


@pytest.mark.parametrize(
    ("by", "order"),
    [
        (Weights(clip=1), [0, 3, 2, 1]),
        (Weights(aesthetic=1), [1, 0, 3, 2]),
        (Weights(aesthetic=-1), [2, 3, 0, 1]),
        (Weights(clip=1, aesthetic=0.1), [0, 3, 2, 1]),
        (Weights(clip=0.1, aesthetic=1), [1, 0, 3, 2]),
    ],
)
def test_the_best_come_first_by_what_was_asked(by: Weights, order: list[int]) -> None:
    assert best(MADE, by, 4) == order
    assert best(MADE, by, 2) == order[:2]


def test_scores_of_different_scales_weigh_the_same() -> None:
    hundredfold = [Made(made.clip_score, 100 * (made.aesthetic_score or 0)) for made in MADE]
    both = Weights(clip=1, aesthetic=1)
    assert rank_scores(hundredfold, both) == pytest.approx(rank_scores(MADE, both))


def test_equal_and_missing_scores_are_average() -> None:
    assert rank_scores([Made(0.5, None), Made(0.5, None)], Weights(clip=1, aesthetic=1)) == [0, 0]
    assert rank_scores([], Weights(clip=1)) == []


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_no_numbers_are_average_and_change_no_other(odd: float) -> None:
    made = [Made(0.3, 1.0), Made(odd, 2.0), Made(0.1, odd)]
    both = Weights(clip=1, aesthetic=1)
    without = [Made(0.3, 1.0), Made(None, 2.0), Made(0.1, None)]
    assert rank_scores(made, both) == rank_scores(without, both)
    assert best(made, both, 3) == best(without, both, 3)


@pytest.mark.parametrize(
    "fields",
    [{"candidates": 0}, {"candidates": 300}, {"candidates": 4, "keep": 5}, {"candidates": 4, "by": {}}],
)
def test_choices_without_sense_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Selection.model_validate(fields)


def ask(catalog: Catalog, **fields: object) -> GenerateRequest:
    return GenerateRequest.model_validate({"prompt": "x", **fields})


def test_the_scorer_is_a_clip_that_does_not_guide(catalog: Catalog) -> None:
    request = ask(catalog, guidance={}, select={"candidates": 4})
    resolved = resolve(request, catalog)
    assert resolved.guidance is not None
    assert resolved.select is not None
    assert (resolved.guidance.clip, resolved.select.scorer) == ("pocket-m", "pocket-s")
    assert (resolved.num_images, resolved.select.by) == (4, Weights(clip=1))


def test_a_guidance_clip_may_not_score_its_own_pictures(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="would score its own work"):
        resolve(
            GenerateRequest(
                prompt="x", guidance=Guidance(), select=Selection(candidates=4, scorer="pocket-m")
            ),
            catalog,
        )
    with pytest.raises(UnknownModelError):
        resolve(ask(catalog, select={"candidates": 4, "scorer": "nobody"}), catalog)


def test_selection_by_aesthetic_score_needs_a_head(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="no CLIP of the catalog has an aesthetic head"):
        resolve(ask(catalog, select={"candidates": 4, "by": "aesthetic"}), catalog)


def test_candidates_take_the_place_of_images(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequestError, match="leave num_images out"):
        resolve(ask(catalog, num_images=2, select={"candidates": 4}), catalog)


@pytest.mark.parametrize(
    ("by", "place", "message"),
    [
        ("looks", ("by",), "Input should be 'clip' or 'aesthetic', or an object with a weight for each"),
        (3, ("by",), "Input should be 'clip' or 'aesthetic', or an object with a weight for each"),
        ({"clip": 101}, ("by", "clip"), "Input should be less than or equal to 100"),
        ({"looks": 1}, ("by", "looks"), "Extra inputs are not permitted"),
        ({}, ("by",), "Value error, at least one weight must not be 0"),
    ],
)
def test_a_wrong_measure_is_one_error_by_the_name_of_the_field(
    by: object, place: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Selection.model_validate({"candidates": 2, "by": by})
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [(place, message)]
