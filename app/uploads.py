"""Pictures and files that clients send: bounded, looked at, and kept beside the job that they are for."""

import io
import warnings
from collections.abc import Iterable, Sequence

from fastapi import UploadFile
from PIL import Image, ImageOps

from app.store_access import reaching_the_store
from jobs.artifacts import ArtifactStore
from jobs.errors import InvalidFileError

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 16_000_000
MAX_SIDE_PX = 16_384
MAX_PICTURES = 256


def read_pictures(uploads: Iterable[UploadFile], field: str) -> list[bytes]:
    """Uploaded pictures as PNG files of ours: upright, opaque, RGB, and nothing but pixels in them.

    Raises:
        InvalidFileError: one is no picture of an allowed format, is too large, or is damaged.
    """
    return [_normalised(upload, field) for upload in uploads]


def store(artifacts: ArtifactStore, job_id: str, files: Sequence[tuple[str, bytes]]) -> list[str]:
    """Keep the files of a job that is about to be submitted; their keys. They go when the job does.

    Args:
        artifacts: where.
        job_id: of the job.
        files: a suffix and the content of each.

    Raises:
        ArtifactsUnavailableError: they cannot be stored.
    """
    keys = [f"{job_id}/uploads/{number}{suffix}" for number, (suffix, _) in enumerate(files)]
    with reaching_the_store():
        for key, (_, data) in zip(keys, files, strict=True):
            artifacts.put(key, data)
    return keys


def _normalised(upload: UploadFile, field: str) -> bytes:
    name = (upload.filename or "the upload")[:100]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(upload.file, formats=FORMATS) as image:
                # The header tells, before anything is unpacked.
                width, height = image.size
                if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
                    raise InvalidFileError(
                        f"{name!r} is {width} x {height} pixels; at most {MAX_PIXELS // 10**6} megapixels "
                        f"and {MAX_SIDE_PX} on a side are read",
                        field=field,
                    )
                upright = ImageOps.exif_transpose(image)
                rgba = upright.convert("RGBA")
    except InvalidFileError:
        raise
    except Exception as error:  # each of Pillow's plugins raises its own kinds for a damaged file
        raise InvalidFileError(
            f"{name!r} is no whole picture of the formats {', '.join(FORMATS)}", field=field
        ) from error
    opaque = Image.new("RGBA", rgba.size, "white")
    opaque.alpha_composite(rgba)
    out = io.BytesIO()
    opaque.convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()
