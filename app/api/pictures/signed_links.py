"""Addresses of pictures that need no key for a while: each is signed, and leads to one picture in one format."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from app.api.pictures.formats import Format, address_end
from jobs.callers.link_secrets import LinkSecrets
from jobs.errors import LodestarError
from jobs.status import links
from jobs.status.job import Job, StoredImage
from jobs.storage.artifacts import ArtifactStore

SIGNATURE_CHARS = 43  # of 256 bits in base64


class InvalidLinkError(LodestarError):
    """The signature is not ours, or is of another picture."""

    type = "invalid_link"


class LinkExpiredError(LodestarError):
    """The signature is ours, and its time is over."""

    type = "link_expired"


@dataclass(frozen=True)
class SignedLink:
    """An address that needs no key.

    Attributes:
        address: a path of this server without its prefix, or the whole address at the artifact store.
        expires_at: when it ends.
    """

    address: str
    expires_at: datetime


class SignedLinks:
    """Signs addresses of pictures and verifies them. Threads may share one."""

    def __init__(self, secrets: LinkSecrets, *, ttl_s: int, store: ArtifactStore | None = None) -> None:
        """Make one.

        Args:
            secrets: that sign.
            ttl_s: seconds that an address counts.
            store: signs the addresses of its own files, which are PNG; None to serve all pictures ourselves.
        """
        self._secrets = secrets
        self._ttl_s = ttl_s
        self._store = store

    def link(
        self, job_id: str, image: StoredImage, end: str = address_end(Format.PNG), ttl_s: int | None = None
    ) -> SignedLink:
        """The address of a picture; ``end`` of ``address_end``.

        Raises:
            QueueUnavailableError: the secret is not known yet, and Redis is away.
            OSError: the artifact store cannot sign.
        """
        ttl_s = ttl_s or self._ttl_s
        expires_s = int(time.time()) + ttl_s
        if self._store is not None and end == address_end(Format.PNG):
            address = self._store.signed_address(image.key, ttl_s)
        else:
            path = f"{links.signed_image(job_id, image.index)}{end}"
            query = (
                f"expires={expires_s}&signature={self._signature(self._secrets.all()[0], path, expires_s)}"
            )
            address = f"{path}{'&' if '?' in path else '?'}{query}"
        return SignedLink(address, datetime.fromtimestamp(expires_s, UTC))

    def check(self, job_id: str, name: str, quality: int | None, expires_s: int, signature: str) -> None:
        """Verify what an address says.

        Raises:
            InvalidLinkError: it was not signed here for this picture, format, quality and time.
            LinkExpiredError: it was, and its time is over.
            QueueUnavailableError: as for ``link``.
        """
        path = f"{links.signed_images(job_id)}/{name}" + ("" if quality is None else f"?quality={quality}")
        given = signature.encode()
        # Every secret is compared, so that the time tells nothing of which.
        matches = [
            hmac.compare_digest(self._signature(secret, path, expires_s).encode(), given)
            for secret in self._secrets.all()
        ]
        if not any(matches):
            raise InvalidLinkError("this address was not signed here, or was changed")
        if time.time() >= expires_s:
            raise LinkExpiredError("this address has expired: ask its sender for a new one")

    @staticmethod
    def _signature(secret: bytes, path: str, expires_s: int) -> str:
        digest = hmac.digest(secret, f"picture\n{path}\n{expires_s}".encode(), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")


def reached(address: str) -> str:
    """A signed address as its reader reaches it: a path with the prefix, or the store's own address."""
    return links.here(address) if address.startswith("/") else address


def with_addresses(job: Job, addresses: Sequence[str]) -> Job:
    """A job whose pictures have these signed addresses, one each; the job itself without any."""
    if not addresses:
        return job
    images = tuple(
        image.model_copy(update={"signed_url": reached(address)})
        for image, address in zip(job.images, addresses, strict=True)
    )
    return job.model_copy(update={"images": images})
