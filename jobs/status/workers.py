"""The workers and the queue as callers see them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from jobs.status.job import JobStatus
from jobs.wire import Wire

DEFAULT_POOL = "default"
StartedBy = Literal["up", "compose"]


class WorkerInfo(Wire):
    """One worker process, as of its last heartbeat."""

    name: str = Field(description="Unique name of the process.", examples=["gpu-1.4242"])
    host: str = Field(description="Host it runs on.")
    pid: int = Field(description="Process id there.")
    pool: str = Field(DEFAULT_POOL, description="Pool that it belongs to.", examples=["l4"])
    serves: tuple[str, ...] = Field((), description="Models whose jobs it takes; empty for all.")
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
    draining: bool = Field(
        False, description="Whether an operator has drained it: it finishes its jobs, and takes no other."
    )
    busy_share: float | None = Field(
        None, ge=0, le=1, description="Share of about the last minute in which it had work.", examples=[0.75]
    )
    memory_used_bytes: int | None = Field(
        None,
        ge=0,
        description="Memory of its device that the process holds; null where the system does not report it.",
    )
    memory_total_bytes: int | None = Field(None, ge=0, description="Memory that its device has.")
    catalog_problem: str | None = Field(
        None,
        description="Why it serves a former model catalog: what is wrong with the changed file. Null if nothing is.",
    )
    started_at: datetime = Field(description="When the process started.")
    heartbeat_at: datetime = Field(description="When it was last heard of.")
    log: tuple[str, ...] = Field((), description="The end of its log, as of that heartbeat.")


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
    ending: str | None = Field(
        None,
        description="How its process ended, if what started it knows.",
        examples=["was killed by SIGKILL"],
    )
    log: tuple[str, ...] = Field((), description="The end of its log, as far as it is known.")


class WorkerList(Wire):
    """The workers that are alive, and those that were of late."""

    data: tuple[WorkerInfo, ...] = Field(description="Workers heard of within the last 15 s, by name.")
    gone: tuple[GoneWorker, ...] = Field(
        (), description="Workers that stopped or were lost within the last hour, the latest first."
    )


class PoolInfo(Wire):
    """The workers of one kind, and the work that is theirs."""

    name: str = Field(description="Name of the pool.", examples=["l4"])
    models: tuple[str, ...] = Field(description="Models whose jobs it takes; empty for all.")
    workers: int = Field(ge=0, description="Its workers that are alive.", examples=[2])
    worker_speed: float | None = Field(
        None,
        ge=0,
        description="Units of work that one of its workers does in a second, as measured last; null before the first "
        "measurement.",
        examples=[410.5],
    )
    waiting_work: float = Field(
        ge=0,
        description="Units of work that wait for it. Pools that take jobs of the same model have equal parts of them.",
        examples=[12000],
    )
    running_work: float = Field(ge=0, description="Units of work that its running jobs still need.")
    work_s: float = Field(
        ge=0,
        description="Seconds that one worker would need for the waiting and running work. Divided by the seconds in "
        "which it should be done, it is the number of workers to have. Without a known speed it is 1 while there is "
        "work, so that a first worker starts and measures it.",
        examples=[29.2],
    )


class PoolList(Wire):
    """The pools."""

    data: tuple[PoolInfo, ...] = Field(
        description="The operator's pools in their order, then others by name."
    )


class QueueInfo(Wire):
    """Numbers of jobs and of workers."""

    jobs: dict[JobStatus, int] = Field(
        description="Number of jobs of each status.",
        examples=[{"queued": 3, "running": 1, "succeeded": 20, "failed": 0, "canceled": 1}],
    )
    workers: int = Field(ge=0, description="Number of workers that are alive.", examples=[1])
    late_workers: int = Field(
        0, ge=0, description="Those of them that were last heard of more than 10 s ago: they miss heartbeats."
    )
    draining_workers: int = Field(
        0, ge=0, description="Those of them that an operator has drained: they take no more jobs."
    )
    max_queued: int = Field(ge=1, description="Most jobs that may be queued.", examples=[1000])
    started_by: StartedBy | None = Field(
        None,
        description="What started the service, and so starts its workers: `lodestar up` or Docker Compose; null if it "
        "is not known.",
    )
    eta_s: float | None = Field(
        ge=0,
        description="Seconds until the workers are done with all of them at their present speed; null until that was "
        "measured.",
        examples=[12.5],
    )
