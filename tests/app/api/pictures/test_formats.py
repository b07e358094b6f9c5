"""The picture format that a request gets."""

import io
import os

import pytest
from PIL import Image

from app.api.pictures.formats import Format, encode, negotiate


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, Format.PNG),
        ("*/*", Format.PNG),
        ("image/*", Format.PNG),
        ("application/json", Format.PNG),
        ("image/jpeg", Format.JPEG),
        ("image/avif,image/webp,image/*,*/*;q=0.8", Format.PNG),
        ("image/webp,*/*;q=0.8", Format.WEBP),
        ("image/png;q=0.1, image/*;q=0.5", Format.WEBP),
        ("image/png;q=0, */*", Format.WEBP),
        ("IMAGE/JPEG;q=1, image/webp;q=nonsense", Format.JPEG),
    ],
)
def test_the_most_wanted_format_wins_and_png_between_equals(accept: str | None, wanted: Format) -> None:
    assert negotiate(accept) is wanted


@pytest.mark.parametrize("form", Format)
def test_noise_has_every_format_at_any_quality(form: Format) -> None:
    out = io.BytesIO()
    Image.frombytes("RGB", (512, 512), os.urandom(3 * 512 * 512)).save(out, "PNG", compress_level=0)
    for quality in (None, 100):
        with Image.open(io.BytesIO(encode(out.getvalue(), form, quality))) as image:
            image.load()
            assert image.size == (512, 512)
