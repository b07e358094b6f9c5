"""Pictures as files."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from jobs.pictures.mark import DigitalSource, Mark, mark_in
from jobs.requests.request import ResolvedRequest
from jobs.requests.start.outpaint import ResolvedOutpaint
from worker.pictures.picture import Picture
from worker.pictures.png import encode_png, encode_preview, mark_of
from worker.raster import Raster

Ask = Callable[..., ResolvedRequest]


def picture() -> Picture:
    pixels = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    return Picture(0, 7, pixels, Raster(pixels), 0.5)


def test_a_png_holds_the_pixels_to_the_nearest_of_256_values(ask: Ask) -> None:
    image = Image.open(io.BytesIO(encode_png(picture(), ask())))
    assert image.size == (64, 48)
    expected = picture().pixels.numpy().transpose(1, 2, 0)
    assert np.abs(np.asarray(image) / 255 - expected).max() <= 0.5 / 255 + 1e-6


def test_it_carries_the_request_as_other_tools_write_it_and_as_json(ask: Ask) -> None:
    request = ask(prompt="a café on a white background", negative_prompt="grey", guidance={"cutouts": 9})
    image = Image.open(io.BytesIO(encode_png(picture(), request)))
    lines = image.info["parameters"].split("\n")
    assert lines[:2] == ["a café on a white background", "Negative prompt: grey"]
    assert (
        "Steps: 4, Sampler: DDIM, Schedule type: Automatic, CFG scale: 4, Seed: 7, Size: 64x64, Model: pocket"
        in lines[2]
    )
    assert "CLIP guidance cutouts: 9" in lines[2]
    assert ResolvedRequest.model_validate(json.loads(image.info["lodestar"])) == request


def test_the_same_picture_gives_the_same_bytes(ask: Ask) -> None:
    assert encode_png(picture(), ask()) == encode_png(picture(), ask())


def test_no_text_chunk_holds_nul(ask: Ask) -> None:
    request = ask().model_copy(update={"prompt": "a red\0apple", "negative_prompt": "\0"})
    png = encode_png(picture(), request)
    chunks = png[: png.index(b"IDAT")].split(b"iTXt")[1:]
    for chunk in chunks:
        # Keyword, no compression, no language, no translated keyword; then the text up to length and checksum.
        assert b"\0" not in chunk.split(b"\0\0\0\0\0", 1)[1][:-8]
    image = Image.open(io.BytesIO(png))
    assert image.info["parameters"].startswith("a red\N{REPLACEMENT CHARACTER}apple\n")
    assert json.loads(image.info["lodestar"])["prompt"] == "a red\0apple"


def test_it_says_that_a_model_has_made_it_and_which(ask: Ask) -> None:
    mark = mark_in(encode_png(picture(), ask()))
    assert mark is not None
    assert (mark.source, mark.model) == (DigitalSource.GENERATED, "pocket")
    assert mark.generator.startswith("Lodestar")
    other = mark_in(encode_png(replace(picture(), index=1), ask()))
    assert other is not None
    assert other.document_id != mark.document_id
    assert mark_in(encode_preview(picture().raster)) == Mark(generator=mark.generator)


def test_a_picture_that_keeps_a_part_of_another_one_says_so(ask: Ask) -> None:
    outpainted = ask().model_copy(update={"outpaint": ResolvedOutpaint(left=8)})
    assert mark_of(outpainted, 0).source is DigitalSource.COMPOSITE


def test_without_marks_it_says_nothing(ask: Ask) -> None:
    assert mark_in(encode_png(picture(), ask(), marked=False)) is None
    assert mark_in(encode_preview(picture().raster, marked=False)) is None
