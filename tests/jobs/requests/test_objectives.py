"""Pictures of objectives as people send them."""

import base64
from collections.abc import Callable

import pytest
from pydantic import ValidationError

from jobs.requests.objectives import ImageObjective
from jobs.requests.pictures import Thumbnail

DATA = bytes(range(256)) + b"\xfb\xff\xfe"  # in base64, with both characters in which the alphabets differ
PLAIN = base64.b64encode(DATA).decode()
URL_SAFE = base64.urlsafe_b64encode(DATA).decode()


@pytest.mark.parametrize("padded", [lambda text: text, lambda text: text.rstrip("=")], ids=["padded", "not"])
@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        URL_SAFE,
        base64.encodebytes(DATA).decode(),
        base64.encodebytes(DATA).decode().replace("\n", "\r\n"),
        PLAIN + "\n",
        "  " + " ".join(PLAIN) + "\t",
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/PNG;BASE64,{PLAIN}",
        f"data:;base64,{PLAIN}",
        f"data:image/png;charset=utf-8;name=a.png;base64,{PLAIN}",
        f" data:image/png; base64, {PLAIN}\n",
    ],
)
def test_base64_is_read_as_people_have_it(text: str, padded: Callable[[str], str]) -> None:
    objective = ImageObjective(type="image", image=Thumbnail(padded(text)))
    assert objective.image.data == DATA
    assert objective.image == PLAIN
    assert objective.image.digest is None


@pytest.mark.parametrize(
    "text",
    ["?", "a", PLAIN + "*", "data:image/png," + PLAIN, "sha256:" + "g" * 64, "sha256:" + "a" * 63, "ä" * 8],
)
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="not base64"):
        ImageObjective(type="image", image=Thumbnail(text))


def test_a_kept_picture_is_named_by_its_digest() -> None:
    digest = "0123456789abcdef" * 4
    for text in (f"sha256:{digest}", f" SHA256:{digest.upper()}\n"):
        objective = ImageObjective(type="image", image=Thumbnail(text))
        assert (objective.image, objective.image.digest) == (f"sha256:{digest}", digest)
