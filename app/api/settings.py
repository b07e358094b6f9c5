"""The settings of the API."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from app.api.trust_settings import TrustSettings, is_key
from jobs.callers.quota import NO_QUOTA, Quota
from jobs.resolve.limits import MAX_TIMEOUT_S
from jobs.status.links import is_prefix
from jobs.status.pools import EVERYTHING, PoolPlan, parse_pools
from jobs.status.workers import StartedBy
from jobs.storage.uploads import CALLERS

_HOST_NAME = re.compile(r"\*|(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?")
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.-]*://[^/?#\s]+")

LEAST_ARCHIVE_AFTER_S = (
    3600  # the history of the last hour, and late choices among candidates, read whole records
)

Names = Annotated[tuple[str, ...], NoDecode]


class ApiSettings(TrustSettings):
    """Settings of the API process, each from the environment variable LODESTAR_<NAME> unless passed in.

    An entry point builds this once; nothing else reads the environment.
    """

    model_config = SettingsConfigDict(env_prefix="LODESTAR_", frozen=True, populate_by_name=True)

    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis or Valkey that keeps the jobs: redis://, rediss:// or unix://, or redis+sentinel:// or "
        "redis+cluster:// with several hosts.",
    )
    redis_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="Replicas of Redis that must have a job before it is accepted: what a failover then cannot lose.",
    )
    artifacts_url: str = Field(
        "./data/artifacts", description="Where the pictures are kept: a local folder, or s3://bucket/prefix."
    )
    search_folder: Path | None = Field(
        None,
        description="Folder on a local disk for the snapshots of the search; by default beside the pictures if these "
        "are in a local folder, else data/search.",
    )
    models_file: Path = Field(Path("models.toml"), description="The model catalog.")
    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 is every one.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    allowed_hosts: Names = Field(
        (),
        description="Names besides its own by which clients may call the server, with commas between: host names, "
        "*.example.com for all under one, or * for any.",
    )
    cors_origins: Names = Field(
        (),
        description="Origins of web pages on other sites that may use the API, with commas between: "
        "https://app.example.com, or * for all.",
    )
    root_path: str = Field(
        "",
        description="Prefix under which a proxy serves this, such as /images; with or without it in the request.",
    )
    forwarded_allow_ips: str = Field(
        "127.0.0.1,::1",
        validation_alias=AliasChoices("LODESTAR_FORWARDED_ALLOW_IPS", "FORWARDED_ALLOW_IPS"),
        description="Addresses and networks of proxies whose X-Forwarded-Proto, -For, -Prefix, -User and -Groups are "
        "believed, with commas between; * is everyone.",
    )
    auth: Literal["auto", "keys", "proxy", "none"] = Field(
        "auto",
        description="Who may call: keys asks for a key, proxy also takes the users of a trusted proxy, none lets "
        "everyone in. auto is keys with a keys file, else none on a loopback address; on any other nothing starts.",
    )
    keys_file: Path | None = Field(
        None,
        description="TOML file of keys, by their hashes, and of a proxy's groups; read again when it changes.",
    )
    keep_alive_s: int = Field(
        75,
        ge=1,
        description="Seconds that an idle connection is kept; longer than a load balancer in front keeps it.",
    )
    max_queued: int = Field(
        1000, ge=1, description="Most jobs that may wait; more are refused with queue_full."
    )
    pools: Annotated[tuple[PoolPlan, ...], NoDecode] = Field(
        EVERYTHING,
        description="Pools of workers and the models whose jobs each takes, l4=sd15,sd15-inpaint;h100=*, so that "
        "metrics tell of a pool without workers. By default there is one, default, which takes all.",
    )
    max_cost: int | None = Field(
        None,
        ge=1,
        description="Most work that one job may ask for, in rows of a denoising step at 64 x 64 px; any if left out.",
    )
    tenant_quota: Annotated[Quota, NoDecode] = Field(
        NO_QUOTA,
        description="Quota of each tenant for which none is set: units_per_second=400,max_waiting=100 and so on.",
    )
    max_timeout_s: float = Field(
        MAX_TIMEOUT_S,
        gt=0,
        le=MAX_TIMEOUT_S,
        description="Longest timeout_s that a job may ask for, in seconds.",
    )
    retention_s: float = Field(
        7 * 24 * 3600,
        ge=0,
        description="Seconds that a job and its pictures are kept after its end; 0 keeps them until they are deleted.",
    )
    archive_after_s: float = Field(
        3600.0,
        ge=0,
        description="Seconds after a job's end, at least an hour, until its record moves from Redis to a file beside "
        "its pictures; 0 keeps it in Redis.",
    )
    max_kept_bytes: int = Field(
        256 << 20,
        ge=1 << 20,
        description="Bytes that all jobs may take in Redis. From three quarters of it on the oldest that have ended "
        "are deleted; what goes beyond it is refused with queue_full.",
    )
    max_kept_file_bytes: int = Field(
        4 << 30,
        ge=1 << 20,
        description="Bytes that the pictures and files may take that were sent for all jobs; beyond it as for "
        "max_kept_bytes.",
    )
    max_body_bytes: int = Field(8 << 20, ge=1024, description="Largest request body in bytes.")
    max_upload_bytes: int = Field(
        64 << 20, ge=1024, description="Largest body of a request that uploads files, in bytes."
    )
    upload_retention_s: float = Field(
        24 * 3600,
        gt=0,
        description="Seconds that a picture is kept that was uploaded on its own, to /v1/uploads.",
    )
    max_uploads_kept_bytes: int = Field(
        1 << 30,
        ge=1 << 20,
        description="Bytes that one caller's uploads may take while they are kept; more are refused with uploads_full. "
        f"Those of all callers may take {CALLERS} times as much.",
    )
    allow_picture_urls: bool = Field(
        False,
        description="Whether requests may name pictures by addresses of other servers, which the API then fetches: of "
        "the public internet, and of webhook_networks.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="What webhook messages are signed with: whsec_ and 24 to 64 bytes in base64; several, the newest "
        "first, with spaces between while receivers change over. By default one is drawn and kept in Redis.",
    )
    serve_webhook_secret: bool = Field(
        False, description="Whether the API discloses the webhooks' secret to callers."
    )
    webhook_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        description="Networks that webhooks may reach besides the public internet, and pictures may come from, with "
        "commas between.",
    )
    started_by: StartedBy | None = Field(
        None,
        description="What started the service, by which the dashboard advises how to start a worker: up or compose. "
        "Both set it.",
    )
    stop_timeout_s: int = Field(
        5, ge=1, description="Seconds for open requests to end when the server stops."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="Log lines for people or for machines; auto is console on a terminal, else json."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity logged."
    )

    @field_validator("webhook_secret")
    @classmethod
    def _is_a_secret(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in value.get_secret_value().split() if value else ():
            if not secret.startswith("whsec_") or not is_key(secret.removeprefix("whsec_")):
                raise ValueError("must be whsec_ and the base64 of 24 to 64 bytes")
        return value

    @field_validator("pools", mode="before")
    @classmethod
    def _read_pools(cls, value: object) -> object:
        return parse_pools(value) if isinstance(value, str) else value

    @field_validator("archive_after_s")
    @classmethod
    def _is_long_enough(cls, value: float) -> float:
        if 0 < value < LEAST_ARCHIVE_AFTER_S:
            raise ValueError(
                f"must be 0, or at least {LEAST_ARCHIVE_AFTER_S}: until then a record may still change"
            )
        return value

    @field_validator("webhook_networks", "allowed_hosts", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no host name; give names without scheme, port and path")
        return names

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(origin.lower().rstrip("/") for origin in origins)
        for origin in plain:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin; give scheme and host, such as https://app.example.com"
                )
        return plain

    @field_validator("root_path")
    @classmethod
    def _is_a_prefix(cls, value: str) -> str:
        prefix = value.rstrip("/")
        if prefix and not is_prefix(prefix):
            raise ValueError("must be a path of letters, digits and . _ ~ -, such as /images")
        return prefix
