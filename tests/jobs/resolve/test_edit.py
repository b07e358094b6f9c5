"""Editing by instruction: only models that edit take a picture to edit, and they draw nothing without."""

from typing import Any

import pytest
from pydantic import ValidationError

from jobs.catalog.catalog import Catalog
from jobs.errors import InvalidRequestError
from jobs.queue.order import cost_of
from jobs.requests.conditions.families import FamilyName, ModelKind
from jobs.requests.pictures import PictureFacts
from jobs.requests.request import GenerateRequest, ResolvedRequest
from jobs.resolve.request import resolve

KEPT = "sha256:" + 64 * "0"
EDIT = {"image": KEPT}


@pytest.fixture
def editing(catalog: Catalog) -> Catalog:
    """The first model edits, and the others do not."""
    editor = catalog.models[0].model_copy(
        update={"id": "editor", "aliases": (), "kind": ModelKind.EDIT, "image_cfg_scale": 1.7}
    )
    return catalog.model_copy(update={"models": (editor, *catalog.models)})


def asked(catalog: Catalog, facts: PictureFacts | None = None, **fields: Any) -> ResolvedRequest:
    request = GenerateRequest.model_validate({"prompt": "make the background blue", "edit": EDIT, **fields})
    return resolve(request, catalog, pictures={} if facts is None else {KEPT: facts})


def refused(catalog: Catalog, **fields: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as error:
        asked(catalog, **fields)
    return error.value


def test_the_scale_of_the_picture_is_the_model_s_own_unless_it_is_given(editing: Catalog) -> None:
    edits = [asked(editing, edit={**EDIT, **given}).edit for given in ({}, {"image_cfg_scale": 0})]
    assert [edit and edit.image_cfg_scale for edit in edits] == [1.7, 0]
    assert edits[0] is not None
    assert edits[0].fit == "crop"


def test_a_model_that_edits_draws_nothing_without_a_picture(editing: Catalog) -> None:
    for more in ({}, {"init": {"image": KEPT}}):
        error = refused(editing, edit=None, **more)
        assert error.field == "edit.image"
        assert "'editor' edits a picture" in error.message


def test_no_other_model_takes_a_picture_to_edit(editing: Catalog, catalog: Catalog) -> None:
    other = catalog.models[0].id
    error = refused(editing, model=other)
    assert error.field == "edit"
    assert error.message == (
        f"model {other!r} does not edit pictures as a prompt says; models that do: editor. "
        "To start from a picture, give init"
    )
    assert "models that do: none" in refused(catalog).message


@pytest.mark.parametrize("scale", [-0.1, 50.1, 1e300, float("nan"), float("inf"), "much", [], {}])
def test_a_scale_out_of_bounds_is_refused(scale: object) -> None:
    with pytest.raises(ValidationError) as error:
        GenerateRequest.model_validate({"prompt": "x", "edit": {**EDIT, "image_cfg_scale": scale}})
    assert error.value.errors()[0]["loc"] == ("edit", "image_cfg_scale")


@pytest.mark.parametrize(
    "edit", [{}, {"image": None}, {"image": ""}, {"image": "?"}, {**EDIT, "strength": 1}]
)
def test_an_edit_that_is_none_is_refused(edit: dict[str, Any]) -> None:
    if edit == {"image": ""}:
        return  # an empty file, which the intake refuses when it reads it
    with pytest.raises(ValidationError):
        GenerateRequest.model_validate({"prompt": "x", "edit": edit})


def test_what_is_painted_around_a_picture_is_not_seen(editing: Catalog) -> None:
    error = refused(editing, init={"image": KEPT}, outpaint={"left": 16})
    assert error.field == "outpaint"


def test_a_part_that_is_not_pasted_is_not_seen(editing: Catalog) -> None:
    mask = {"image": KEPT, "area": "masked"}
    assert refused(editing, init=EDIT, mask={**mask, "paste": False}).field == "mask.paste"
    assert asked(editing, init=EDIT, mask=mask).mask is not None


def test_the_picture_s_shape_is_drawn(editing: Catalog) -> None:
    card = editing.models[0]
    wide = PictureFacts(2000, 1000, ((0, 255),) * 3)
    drawn = asked(editing, wide)
    assert drawn.width / drawn.height == pytest.approx(2, rel=0.2)
    assert drawn.width > card.width > drawn.height
    assert (asked(editing, wide, width=card.width, height=card.height).height) == card.height


def test_three_rows_are_charged_and_the_encoding_of_the_picture(editing: Catalog) -> None:
    scales = {1.0: 2, 1.5: 3, 0.0: 3}
    requests = {
        scale: asked(editing, edit={**EDIT, "image_cfg_scale": scale}, cfg_scale=4) for scale in scales
    }
    assert {scale: request.rows for scale, request in requests.items()} == scales
    plain = asked(editing, model=editing.models[1].id, edit=None, cfg_scale=4)
    assert cost_of(plain) < cost_of(requests[1.0]) < cost_of(requests[1.5])
    steps = plain.steps * plain.width * plain.height / 64**2
    assert cost_of(requests[1.5]) - cost_of(requests[1.0]) == pytest.approx(max(steps, plain.steps), rel=0.1)


def test_the_kind_of_another_family_is_refused(catalog: Catalog) -> None:
    fields = catalog.models[0].model_dump(exclude_defaults=True)
    with pytest.raises(ValidationError, match="have no kind 'edit'"):
        type(catalog.models[0]).model_validate(fields | {"family": FamilyName.SDXL, "kind": "edit"})
