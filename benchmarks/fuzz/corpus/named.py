"""Texts for fields that take a picture: files in base64, right and wrong, and names of pictures."""

import base64
import io
from random import Random

from PIL import Image

from benchmarks.fuzz.corpus.damage import cut
from benchmarks.fuzz.corpus.sample import Sample

_JOB = "01a203967d75b0c90aa928ee9db4"


def picture_texts() -> tuple[str, ...]:
    """Most are right; the same every time."""
    chance, texts = Random(0), []
    for kind, mode in (("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("WEBP", "RGB")):
        file = io.BytesIO()
        size = 48 * 32 * len(mode)
        Image.frombytes(mode, (48, 32), chance.randbytes(size)).save(file, kind)
        texts.append(base64.b64encode(file.getvalue()).decode())
    half = cut(Sample("half.png", base64.b64decode(texts[0])), 0.5)
    return (
        *texts,
        f"data:image/png;base64,{texts[0]}",
        f"data:image/png;base64,{texts[1]}".replace("+", "-").replace("/", "_"),
        base64.b64encode(half.data).decode(),
        f"sha256:{64 * '0'}",
        f"{_JOB}/0",
        f"/v1/jobs/{_JOB}/images/0",
        "https://lodestar.invalid/a.png",
        "data:,",
        "!",
    )
