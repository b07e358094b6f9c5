"""What an operator may set for the API."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiSettings(BaseSettings):
    """Settings of the API process, each from the environment variable LODESTAR_<NAME> unless passed in.

    An entry point builds this once; nothing else reads the environment.
    """

    model_config = SettingsConfigDict(env_prefix="LODESTAR_", frozen=True)

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis or Valkey that keeps the jobs: redis://, rediss:// or unix://.",
    )
    artifacts_url: str = Field(
        "./data/artifacts", description="Where the pictures are kept: a local folder, or s3://bucket/prefix."
    )
    models_file: Path = Field(Path("models.toml"), description="The model catalog.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every one.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    max_queued: int = Field(
        1000, ge=1, description="Most jobs that may wait; more are refused with queue_full."
    )
    max_body_bytes: int = Field(1 << 20, ge=1024, description="Largest request body in bytes.")
    max_upload_bytes: int = Field(
        64 << 20, ge=1024, description="Largest body of a request that uploads files, in bytes."
    )
    stop_timeout_s: int = Field(
        5, ge=1, description="Seconds that open requests are given to end when the server stops."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log lines for people or for machines; auto is console on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity logged."
    )
