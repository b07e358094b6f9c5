"""The workers and the queue as callers see them."""

from datetime import datetime

from pydantic import Field

from jobs.status.job import JobStatus
from jobs.wire import Wire


class WorkerInfo(Wire):
    """One worker process, as of its last heartbeat."""

    name: str = Field(description="Unique name of the process.", examples=["gpu-1.4242"])
    host: str = Field(description="Host it runs on.")
    pid: int = Field(description="Process id there.")
    device: str = Field(description="Device that it computes on.", examples=["cuda:0"])
    dtype: str = Field(description="Number format of the models.", examples=["fp16"])
    attention: str = Field(description="Attention implementation in use.", examples=["xformers"])
    threads: int = Field(description="CPU threads that it computes with.")
    models: tuple[str, ...] = Field(
        description="Models and CLIPs in its memory.", examples=[["pocket", "pocket-m"]]
    )
    jobs: tuple[str, ...] = Field(description="Ids of the jobs that it runs now.")
    speed: float | None = Field(
        None,
        ge=0,
        description=(
            "Units of work done in a second of recent work; null until measured. A unit is one row of one "
            "denoising step at 64 x 64 pixels."
        ),
    )
    load: float = Field(0, ge=0, description="Units of work that its jobs still need.")
    room: int = Field(0, ge=0, description="Jobs that it would take now.")
    busy_share: float | None = Field(
        None, ge=0, le=1, description="Share of about the last minute in which it had work.", examples=[0.75]
    )
    memory_used_bytes: int | None = Field(
        None,
        ge=0,
        description="Memory of its device that the process holds; null where the system does not report it.",
    )
    memory_total_bytes: int | None = Field(None, ge=0, description="Memory that its device has.")
    started_at: datetime = Field(description="When the process started.")
    heartbeat_at: datetime = Field(description="When it was last heard of.")


class GoneWorker(Wire):
    """A worker that stopped, or was lost."""

    name: str = Field(description="Unique name of the process.", examples=["gpu-1.4242"])
    host: str = Field(description="Host it ran on.")
    device: str = Field(description="Device that it computed on.", examples=["cuda:0"])
    jobs: tuple[str, ...] = Field(description="Ids of the jobs that it ran when it was last heard of.")
    started_at: datetime = Field(description="When the process started.")
    heartbeat_at: datetime = Field(description="When it was last heard of.")
    was_lost: bool = Field(
        True,
        description="Whether it went without a word: it crashed, was killed, or cannot be reached.",
    )


class WorkerList(Wire):
    """The workers that are alive, and those that were of late."""

    data: tuple[WorkerInfo, ...] = Field(description="Workers heard of within the last 15 s, by name.")
    gone: tuple[GoneWorker, ...] = Field(
        (), description="Workers that stopped or were lost within the last hour, the latest first."
    )


class QueueInfo(Wire):
    """Numbers of jobs and of workers."""

    jobs: dict[JobStatus, int] = Field(
        description="Number of jobs of each status.",
        examples=[{"queued": 3, "running": 1, "succeeded": 20, "failed": 0, "canceled": 1}],
    )
    workers: int = Field(ge=0, description="Number of workers that are alive.", examples=[1])
    max_queued: int = Field(ge=1, description="Most jobs that may be queued.", examples=[1000])
    eta_s: float | None = Field(
        ge=0,
        description="Seconds until the workers are done with all of them at their present speed; null until that was "
        "measured.",
        examples=[12.5],
    )
