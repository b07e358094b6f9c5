"""The picture format that a request gets."""

import pytest

from app.api.pictures.formats import Format, negotiate


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
