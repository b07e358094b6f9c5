"""The settings of what the service vouches for: marks, content credentials, signed addresses, moderation."""

import base64
import binascii
from pathlib import Path
from typing import Literal

from pydantic import Field, HttpUrl, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_LINK_S = 7 * 24 * 3600


class TrustSettings(BaseSettings):
    """A part of ``ApiSettings``."""

    model_config = SettingsConfigDict(env_prefix="LODESTAR_", frozen=True, populate_by_name=True)

    marks: Literal["on", "off"] = Field(
        "on", description="on: the file of every picture says that a model has made it."
    )
    c2pa_certificate_file: Path | None = Field(
        None,
        description="PEM file of the certificates that sign every picture (C2PA), the signer's own first.",
    )
    c2pa_key_file: Path | None = Field(None, description="PEM file of the private key of the first of them.")
    signed_urls: bool = Field(
        False,
        description="Whether webhooks, and answers of OpenAI's and Replicate's APIs, name pictures by addresses that "
        "need no key for a while.",
    )
    signed_url_ttl_s: int = Field(
        3600,
        ge=1,
        le=MAX_LINK_S,
        description="Seconds that an address counts which needs no key; at most a week.",
    )
    signed_url_secret: SecretStr | None = Field(
        None,
        description="What signs these addresses: 24 to 64 bytes in base64; several, the newest first, with spaces "
        "between while old addresses still count. By default one is drawn and kept in Redis.",
    )
    store_signed_urls: bool = Field(
        False,
        description="Whether the addresses of PNG files lead to the artifact store itself, which must be reachable for "
        "clients and able to sign, as S3.",
    )
    moderation_url: HttpUrl | None = Field(
        None,
        description="Address that judges prompts, with its path, as OpenAI's /v1/moderations does; none by default.",
    )
    moderation_key: SecretStr | None = Field(None, description="Key for it, sent as a bearer.")
    moderation_model: str | None = Field(None, description="Model of that service; its default if left out.")
    moderation_policy: Literal["flag", "block"] = Field(
        "block", description="Whether flagged prompts are refused, or taken with a note."
    )
    moderation_timeout_s: float = Field(2.0, gt=0, le=60, description="Seconds for its answer.")
    moderation_when_away: Literal["allow", "refuse"] = Field(
        "refuse", description="What happens to prompts when it gives no verdict."
    )

    @field_validator("signed_url_secret")
    @classmethod
    def _is_a_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not all(is_key(secret) for secret in value.get_secret_value().split()):
            raise ValueError("must be the base64 of 24 to 64 bytes")
        return value


def is_key(text: str) -> bool:
    """Whether a text is a key for HMAC: 24 to 64 bytes in base64."""
    try:
        return 24 <= len(base64.b64decode(text, validate=True)) <= 64
    except binascii.Error:
        return False
