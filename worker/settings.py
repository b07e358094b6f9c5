"""The settings of a worker process, from its environment (``LODESTAR_...``)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.status.pools import require_pool_name
from jobs.status.workers import DEFAULT_POOL


class WorkerSettings(BaseSettings):
    """Settings of one worker process; built once, in its entry point."""

    model_config = SettingsConfigDict(env_prefix="LODESTAR_", frozen=True)

    redis_url: str = "redis://127.0.0.1:6379/0"
    artifacts_url: str = Field("./data/artifacts", description="fsspec URL where pictures are kept.")
    models_file: Path = Path("models.toml")
    cache_dir: Path = Field(
        Path("~/.cache/lodestar"),
        description="Folder for what can be computed again, such as digests of weights.",
    )
    device: str = Field("auto", description="auto (CUDA where there is one), cpu, cuda or cuda:N.")
    dtype: Literal["auto", "fp16", "bf16", "fp32"] = Field(
        "auto", description="auto: fp16 on CUDA, fp32 on a CPU."
    )
    attention: Literal["auto", "xformers", "sdpa"] = Field(
        "auto",
        description="auto: xformers on CUDA, for each attention for which it is at least as fast as PyTorch's own.",
    )
    compile: Literal["off", "on"] = Field(
        "off", description="on: compile the denoiser for the default size before a model serves."
    )
    cuda_graphs: bool = Field(True, description="Record the denoiser's small batches as CUDA graphs.")
    threads: int | None = Field(None, ge=1, description="CPU threads for computing; all cores if left out.")
    capacity: int | None = Field(
        None,
        ge=1,
        le=256,
        description="Jobs that the worker runs at a time; 16 on CUDA and 6 on a CPU if left out.",
    )
    max_batch: int = Field(32, ge=1, le=1024, description="Pictures that share one batch at most.")
    batch_memory_gib: float | None = Field(
        None,
        gt=0,
        description="Memory that one batch may take; 80 % of what is free at the time if left out.",
    )
    model_memory_gib: float | None = Field(
        None, gt=0, description="Memory that models may take; half of the device's if left out."
    )
    marks: Literal["on", "off"] = Field(
        "on", description="on: the file of a picture says that a model has made it."
    )
    safety: Literal["off", "flag", "blur", "block"] = Field(
        "off",
        description="What happens to pictures that the classifier finds not safe for work; off: it is not asked.",
    )
    safety_threshold: float = Field(
        0.8, gt=0, le=1, description="Score at which a picture is not safe for work."
    )
    pool: str = Field(DEFAULT_POOL, description="Name of the pool that the worker belongs to.")
    serve_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Models of the catalog whose jobs the worker takes, with commas between; empty for all. Every "
        "worker takes the tasks that need a CLIP alone.",
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="Port of metrics and probes; 0 takes any free one, none by default."
    )
    metrics_host: str = Field("127.0.0.1", description="Address to listen on for them; 0.0.0.0 is every one.")
    grace_s: float = Field(
        4.0,
        ge=0,
        description="Seconds to finish running jobs after SIGTERM before they are handed over to other workers; 0 does "
        "that at once.",
    )
    hang_timeout_s: float = Field(
        600,
        gt=0,
        description="Seconds that one model call may take before the process ends as hung.",
    )

    @field_validator("serve_models", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("pool")
    @classmethod
    def _is_a_pool_name(cls, value: str) -> str:
        return require_pool_name(value)
