"""Finished pictures in OpenAI's form: at once, or as the events of a stream."""

import time
from base64 import b64encode
from typing import Any

from fastapi import Request

from app.api.dialects.addresses import picture_addresses
from app.api.dialects.openai.request import ImageGeneration
from app.api.dialects.stored_pictures import stored_pictures
from app.api.pictures.formats import address_end
from app.api.services import services_of
from jobs.status.job import Job

# This service counts no tokens, but the clients' types want a number.
_NO_USAGE = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "total_tokens": 0,
}


def images_response(request: Request, job: Job, body: ImageGeneration) -> dict[str, Any]:
    """The answer to a call. Without a ``response_format`` it has the pictures both ways.

    Raises:
        LodestarError: as for ``stored_pictures``.
    """
    pictures: list[dict[str, Any]] = [
        {"seed": image.seed, "clip_score": image.clip_score} for image in job.images
    ]
    if body.response_format != "b64_json":
        end = address_end(body.picture_format, body.picture_quality)
        for picture, address in zip(pictures, picture_addresses(request, job, end), strict=True):
            picture["url"] = address
    if body.response_format != "url":
        for picture, data in zip(pictures, _encoded(request, job, body), strict=True):
            picture["b64_json"] = data
    return {
        "created": int(job.created_at.timestamp()),
        "data": pictures,
        "job": job.id,
        **common_fields(job, body),
    }


def completed_events(request: Request, job: Job, body: ImageGeneration) -> list[dict[str, Any]]:
    """The last events of a stream, one for each picture.

    Raises:
        LodestarError: as for ``stored_pictures``.
    """
    return [
        {
            "type": f"{body.events}.completed",
            "created_at": int(time.time()),
            "b64_json": data,
            **common_fields(job, body),
            "usage": _NO_USAGE,
            "seed": image.seed,
            "clip_score": image.clip_score,
            "job": job.id,
        }
        for data, image in zip(_encoded(request, job, body), job.images, strict=True)
    ]


def common_fields(job: Job, body: ImageGeneration) -> dict[str, Any]:
    """The fields that every answer and event have in common."""
    fields: dict[str, Any] = {
        "output_format": str(body.picture_format),
        "quality": body.resolved_quality,
        "size": f"{job.generation.width}x{job.generation.height}",
        "background": "opaque",
    }
    if identifier := body.safety_identifier or body.user:
        fields["safety_identifier"] = identifier
    if job.notes:
        fields["notes"] = job.notes
    return fields


def _encoded(request: Request, job: Job, body: ImageGeneration) -> list[str]:
    pictures = stored_pictures(services_of(request), job, body.picture_format, body.picture_quality)
    return [b64encode(picture).decode() for picture in pictures]
