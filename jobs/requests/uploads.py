"""Uploads, as callers see them."""

from datetime import datetime

from pydantic import Field

from jobs.wire import Wire


class Upload(Wire):
    """A picture that a caller has uploaded."""

    id: str = Field(
        description="`sha256:` and 64 digits: the digest of the stored picture. The same picture has the same id.",
        examples=["sha256:" + "3f" * 32],
    )
    name: str = Field(
        "", description="Name of the file as it was sent; empty without one.", examples=["cat.png"]
    )
    width: int = Field(gt=0, description="Width in pixels, upright.")
    height: int = Field(gt=0, description="Height in pixels, upright.")
    bytes: int = Field(gt=0, description="Size of the stored PNG file.")
    created_at: datetime = Field(description="When it was uploaded first.")
    expires_at: datetime = Field(description="When it is deleted. Uploading it again begins this time anew.")


class Uploads(Wire):
    """Uploads of one caller."""

    data: tuple[Upload, ...] = Field(description="The uploads.")
