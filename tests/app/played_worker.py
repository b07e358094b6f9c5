"""A worker without an engine: it takes the real steps of a job's life, when a test says so."""

import io

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from redis import Redis

from jobs.errors import LeaseLostError, LodestarError
from jobs.pictures.mark import PNG_KEYWORD, Mark
from jobs.queue.leases import Lease, Leases, Standing
from jobs.status.job import Progress, StoredImage
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.job_files import map_key
from tests.jobs.samples import claimed
from worker.pictures.infotext import infotext


class PlayedWorker:
    """Claims jobs and settles them."""

    def __init__(
        self, redis: Redis, artifacts_url: str, *, name: str = "played", lease_s: float = 15
    ) -> None:
        self.leases = Leases(redis, worker=name, lease_s=lease_s)
        self._artifacts = ArtifactStore(artifacts_url)

    def claim(self, job_id: str) -> Lease:
        """Take a job that waits."""
        return claimed(self.leases, job_id)

    def report(self, lease: Lease, *, step: int, steps: int, eta_s: float | None = None) -> None:
        """Renew the lease with progress."""
        self.leases.renew(lease, Progress(step=step, steps=steps, eta_s=eta_s))

    def store(self, lease: Lease, clip_score: float = 0.25) -> tuple[StoredImage, ...]:
        """Put the job's pictures, and the maps of its controls, into the artifact store."""
        for number, _ in enumerate(lease.generation.controls):
            size = lease.generation.width, lease.generation.height
            self._artifacts.put(map_key(lease.artifact_prefix, number), picture(*size, tint=number))
        return tuple(self._store(lease, index, clip_score) for index in range(lease.generation.num_images))

    def succeed(self, job_id: str) -> Lease:
        """Take a job from waiting to succeeded."""
        lease = self.claim(job_id)
        self.leases.succeed(lease, self.store(lease))
        return lease

    def draw(self, clip_score: float) -> Lease | None:
        """Take the next job, whichever it is, from waiting to succeeded, with this score; None if none waits."""
        lease = self.leases.claim_next()
        if lease is not None:
            try:
                self.leases.succeed(lease, self.store(lease, clip_score))
            except LeaseLostError:
                pass  # nobody wants it any more
            except FileNotFoundError:  # its folder has gone already
                if self.leases.renew(lease) is Standing.HELD:
                    raise
        return lease

    def fail(self, job_id: str, error: LodestarError) -> None:
        """Take a job from waiting to failed."""
        self.leases.fail(self.claim(job_id), error)

    def _store(self, lease: Lease, index: int, clip_score: float) -> StoredImage:
        request = lease.generation
        key = f"{lease.artifact_prefix}/{index}.png"
        seed = request.seed + index
        text = infotext(seed, request, index)
        self._artifacts.put(key, picture(request.width, request.height, tint=seed, text=text))
        return StoredImage(
            index=index,
            seed=seed,
            width=request.width,
            height=request.height,
            key=key,
            clip_score=clip_score,
        )


def picture(width: int, height: int, *, tint: int, text: str = "a red apple") -> bytes:
    """A PNG with the text ``parameters`` and a mark, as workers make them, whose colours depend on ``tint``."""
    image = Image.new("RGB", (width, height))
    image.putdata([((x * 4) % 256, (y * 4) % 256, tint % 256) for y in range(height) for x in range(width)])
    texts = PngInfo()
    texts.add_text("parameters", text)
    texts.add_itxt(PNG_KEYWORD, Mark(generator="Lodestar", model="pocket").packet)
    out = io.BytesIO()
    image.save(out, "PNG", pnginfo=texts)
    return out.getvalue()
