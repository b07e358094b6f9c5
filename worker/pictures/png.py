"""Pictures as PNG files with their request in text chunks."""

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from jobs.requests.request import ResolvedRequest
from jobs.status.job import StoredImage
from worker.pictures.picture import Picture
from worker.raster import Raster

PREVIEW_PX = 256
# Of zlib. Its default, 6, takes up to four times as long for files that are up to a seventh smaller
# (``python -m benchmarks.gpu store``).
COMPRESSION = 3


def encode_png(picture: Picture, request: ResolvedRequest) -> bytes:
    """The PNG of a picture, with the request in a ``parameters`` text chunk and, as JSON, in ``lodestar``.

    The same picture and request give the same bytes.
    """
    chunks = PngInfo()
    # NUL may not be in a text chunk, and readers end the text there. JSON escapes it.
    chunks.add_itxt("parameters", parameters(picture, request).replace("\0", "\N{REPLACEMENT CHARACTER}"))
    # Previews do not change the picture.
    chunks.add_itxt("lodestar", request.model_dump_json(exclude={"preview_every_steps"}))
    file = io.BytesIO()
    Image.fromarray(picture.raster.levels()).save(file, "PNG", pnginfo=chunks, compress_level=COMPRESSION)
    return file.getvalue()


def encode_preview(raster: Raster) -> bytes:
    """A small JPEG of a picture, at most 256 pixels wide and high."""
    image = Image.fromarray(raster.levels())
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=80)
    return file.getvalue()


def parameters(picture: Picture, request: ResolvedRequest) -> str:
    """The request in the text form of A1111's web UI, which other tools read."""
    lines = [request.prompt]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    fields = {
        "Steps": request.steps,
        "Sampler": request.sampler.value,
        "Schedule type": request.schedule.value,
        "CFG scale": f"{request.cfg_scale:g}",
        "Seed": picture.seed,
        "Size": f"{request.width}x{request.height}",
        "Model": request.model,
        **_start(picture, request),
    }
    if request.guidance is not None:
        fields |= {
            "CLIP guidance": request.guidance.preset,
            "CLIP guidance model": request.guidance.clip,
            "CLIP guidance scale": f"{request.guidance.scale:g}",
            "CLIP guidance cutouts": request.guidance.cutouts,
        }
    if request.personalization is not None:
        fields |= {
            "Aesthetic embedding": request.personalization.embedding,
            "Aesthetic steps": request.personalization.steps,
            "Aesthetic LR": f"{request.personalization.lr:g}",
            "Aesthetic weight": f"{request.personalization.weight:g}",
        }
    if request.upscale is not None:
        fields |= {
            "Upscaler": f"Real-ESRGAN {request.upscale.model}",
            "Upscale factor": request.upscale.factor,
        }
    lines.append(", ".join(f"{name}: {value}" for name, value in fields.items()))
    return "\n".join(lines)


def _start(picture: Picture, request: ResolvedRequest) -> dict[str, object]:
    """Where the run started, beside the seed."""
    fields: dict[str, object] = {}
    if request.init is not None:
        fields["Denoising strength"] = f"{request.init.strength:g}"
    if request.variation is not None:
        fields["Variation seed"] = request.variation.seed + picture.index
        fields["Variation seed strength"] = f"{request.variation.strength:g}"
    return fields


def picture_key(prefix: str, index: int) -> str:
    """The key of a picture of an execution in the artifact store."""
    return f"{prefix}/{index}.png"


def stored_image(prefix: str, picture: Picture) -> StoredImage:
    """The record of a picture that an execution has stored."""
    width, height = picture.raster.size
    return StoredImage(
        index=picture.index,
        seed=picture.seed,
        width=width,
        height=height,
        key=picture_key(prefix, picture.index),
        clip_score=round(picture.clip_score, 4),
        aesthetic_score=None if picture.aesthetic_score is None else round(picture.aesthetic_score, 4),
        trace=picture.trace,
    )
