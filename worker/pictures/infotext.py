"""The request as A1111's web UI writes it into a picture, and as other tools read it.

    infotext = prompt LF [ "Negative prompt: " negative prompt LF ] field { ", " field }
    field    = name ": " ( value | value as a JSON string )

A value with a comma, a colon or a line break is a JSON string. The last line has at least three fields. The grammar is
that of ``modules/infotext_utils.py`` in AUTOMATIC1111/stable-diffusion-webui.
"""

import json
from typing import Any

from jobs.requests.conditions.adapters import ResolvedAdapter
from jobs.requests.labels import LABELS, SCHEDULE_LABELS, hires_fields
from jobs.requests.request import ResolvedRequest

_SPECIAL = frozenset(',:\n\r"')


def infotext(seed: int, request: ResolvedRequest, index: int = 0) -> str:
    """The text of a picture.

    Args:
        seed: of the picture.
        request: of its job.
        index: of the picture in the job.
    """
    lines = [" ".join([request.prompt, *map(_tag, request.adapters)])]
    if request.negative_prompt:
        lines.append(f"Negative prompt: {request.negative_prompt}")
    fields = {
        "Steps": request.steps,
        "Sampler": LABELS[request.sampler],
        "Schedule type": SCHEDULE_LABELS[request.schedule],
        "CFG scale": f"{request.cfg_scale:g}",
        "Seed": seed,
        "Size": f"{request.width}x{request.height}",
        "Model": request.model,
        **({"Eta DDIM": f"{request.eta:g}"} if request.eta else {}),
        **_start(request, index),
        **_networks(request),
        **_own_fields(request),
    }
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in fields.items()))
    # NUL may not be in a text chunk, and readers end the text there.
    return "\n".join(lines).replace("\0", "\N{REPLACEMENT CHARACTER}")


def _tag(adapter: ResolvedAdapter) -> str:
    """An adapter as the web UI names it in a prompt."""
    weights = (
        [adapter.weight] if adapter.weight == adapter.text_weight else [adapter.text_weight, adapter.weight]
    )
    return f"<lora:{adapter.name}:{':'.join(f'{weight:g}' for weight in weights)}>"


def _start(request: ResolvedRequest, index: int) -> dict[str, Any]:
    """Where the run started, beside the seed."""
    fields: dict[str, Any] = {}
    if request.init is not None:
        fields["Denoising strength"] = f"{request.init.strength:g}"
    if request.edit is not None:
        fields["Image CFG scale"] = f"{request.edit.image_cfg_scale:g}"
    if request.variation is not None:
        fields["Variation seed"] = request.variation.seed + index
        fields["Variation seed strength"] = f"{request.variation.strength:g}"
    if request.hires is not None:
        fields |= hires_fields(request.hires)
        fields.setdefault("Denoising strength", f"{request.hires.strength:g}")
    return fields


def _networks(request: ResolvedRequest) -> dict[str, Any]:
    """What is read of the text encoders, and the model of the last steps."""
    fields: dict[str, Any] = {}
    if request.clip_skip:
        fields["Clip skip"] = request.clip_skip + 1  # the last layer is 1 there
    if request.refiner is not None:
        fields |= {"Refiner": request.refiner.model, "Refiner switch at": f"{request.refiner.switch_at:g}"}
    return fields


def _own_fields(request: ResolvedRequest) -> dict[str, Any]:
    """The fields of features that A1111's web UI lacks."""
    fields: dict[str, Any] = {}
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
    return fields


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if _SPECIAL & set(value) else value
