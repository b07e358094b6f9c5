"""Finished pictures and progress in A1111's form."""

import io
import json
from base64 import b64encode
from typing import Any

from PIL import Image

from app.api.dialects.a1111.request import TextToImage
from app.api.dialects.stored_pictures import stored_maps, stored_pictures
from app.api.services import Services
from jobs.requests.labels import LABELS, SCHEDULE_LABELS, hires_fields
from jobs.status.job import Job, JobStatus


def made_response(services: Services, job: Job, body: TextToImage) -> dict[str, Any]:
    """The answer to ``txt2img`` and ``img2img``; without pictures if the job was interrupted.

    The maps of its ControlNets come after the pictures, as the extension appends them.

    Raises:
        LodestarError: as for ``stored_pictures``.
    """
    pictures = stored_pictures(services, job)
    shown = [*pictures, *stored_maps(services, job, body.shown_maps)] if body.send_images else []
    return {
        "images": [b64encode(png).decode() for png in shown],
        "parameters": body.echo(),
        "info": json.dumps(_info(services, job, body, [_infotext(png) for png in pictures])),
    }


def progress(job: Job | None, preview: str | None = None) -> dict[str, Any]:
    """The progress of a job, and its newest preview in base64; that of an idle server for None."""
    steps = job.progress if job else None
    return {
        "progress": round(steps.fraction, 4) if steps else 0.0,
        "eta_relative": (steps.eta_s if steps else None) or 0.0,
        "state": {
            "skipped": False,
            "interrupted": job.cancel_requested if job else False,
            "stopping_generation": job.cancel_requested if job else False,
            "job": job.id if job else "",
            "job_count": 1 if job else 0,
            "job_timestamp": _timestamp(job) if job else "",
            "job_no": 0,
            "sampling_step": steps.step if steps else 0,
            "sampling_steps": steps.steps if steps else 0,
        },
        "current_image": preview,
        "textinfo": None if job is None else _words(job),
    }


def _words(job: Job) -> str:
    if job.status is JobStatus.QUEUED and job.queue_position:
        return f"queued, {job.queue_position} before it"
    return str(job.status)


def _info(services: Services, job: Job, body: TextToImage, infotexts: list[str]) -> dict[str, Any]:
    request = job.generation
    seeds = [image.seed for image in job.images]
    return {
        "prompt": request.prompt,
        "all_prompts": [request.prompt] * len(seeds),
        "negative_prompt": request.negative_prompt,
        "all_negative_prompts": [request.negative_prompt] * len(seeds),
        "seed": request.seed,
        "all_seeds": seeds,
        **_subseeds(job, seeds),
        "denoising_strength": body.denoising_strength,
        "width": request.width,
        "height": request.height,
        "sampler_name": LABELS[request.sampler],
        "cfg_scale": request.cfg_scale,
        "steps": request.steps,
        "batch_size": body.batch_size,
        "restore_faces": False,
        "sd_model_name": request.model,
        "clip_skip": request.clip_skip + 1,
        "sd_model_hash": services.catalog.model(request.model).short_hash,
        "extra_generation_params": _extra_params(job),
        "index_of_first_image": 0,
        "infotexts": infotexts,
        "styles": [],
        "job_timestamp": _timestamp(job),
        "interrupted": job.status is JobStatus.CANCELED,
        "job": job.id,
        "notes": job.notes,
        "clip_scores": [image.clip_score for image in job.images],
    }


def _subseeds(job: Job, seeds: list[int]) -> dict[str, Any]:
    """The seeds of variations; without any, A1111 shows others that have no effect."""
    variation = job.generation.variation
    if variation is None:
        return {"subseed": job.generation.seed, "all_subseeds": seeds, "subseed_strength": 0}
    return {
        "subseed": variation.seed,
        "all_subseeds": [variation.seed + image.index for image in job.images],
        "subseed_strength": variation.strength,
    }


def _extra_params(job: Job) -> dict[str, Any]:
    params: dict[str, Any] = {"Schedule type": SCHEDULE_LABELS[job.generation.schedule]}
    guidance, hires = job.generation.guidance, job.generation.hires
    if hires is not None:
        params |= hires_fields(hires)
    return params if guidance is None else {**params, "CLIP guidance": guidance.model_dump(mode="json")}


def _infotext(png: bytes) -> str:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return str(picture.info.get("parameters", ""))


def _timestamp(job: Job) -> str:
    return job.created_at.strftime("%Y%m%d%H%M%S")
