"""A repository of the hub at one commit: its files with their sizes and digests, and what can be read before fetching.

`huggingface_hub` speaks to the hub, with its own settings: `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_OFFLINE`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    get_token,
    hf_hub_download,
    hf_hub_url,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import Tensor

from jobs.errors import ConfigurationError, LodestarError, ModelUnavailableError
from worker.models.loading.header import DTYPES

_SHA256 = re.compile("[0-9a-f]{64}")


class DownloadError(LodestarError):
    """The hub cannot be reached, or a file cannot be fetched whole."""

    type = "download"


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes:
        size: in bytes.
        sha256: of a large file; None for one that is kept in git itself.
        blob_id: its git id.
    """

    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True)
class Repository:
    """A repository at one commit.

    Attributes:
        id: on the hub.
        commit: 40 hexadecimal digits.
        files: by their names.
    """

    id: str
    commit: str
    files: Mapping[str, RemoteFile]

    @property
    def blobs(self) -> Path:
        """The folder of the cache with its files by their digests."""
        return self._cache / "blobs"

    @property
    def snapshot(self) -> Path:
        """The folder of the cache with its files by their names."""
        return self._cache / "snapshots" / self.commit

    @property
    def _cache(self) -> Path:
        return Path(constants.HF_HUB_CACHE) / f"models--{self.id.replace('/', '--')}"

    def url(self, name: str) -> str:
        """Where a file is fetched."""
        return hf_hub_url(self.id, name, revision=self.commit)

    def require(self, name: str) -> None:
        """Refuse a file that may not be read, with the reason.

        Raises:
            ConfigurationError: as for ``hub_errors``.
            DownloadError: likewise.
        """
        with hub_errors(self.id, self.commit):
            get_hf_file_metadata(self.url(name))

    def cached(self, name: str) -> Path:
        """A small file in the cache, fetched if need be."""
        with hub_errors(self.id, self.commit):
            return Path(hf_hub_download(self.id, name, revision=self.commit))

    def outline(self, names: Iterable[str]) -> dict[str, Tensor]:
        """The tensors of safetensors files on the meta device: only the headers are fetched.

        Raises:
            ModelUnavailableError: a header is damaged.
            DownloadError: the hub cannot be asked.
        """
        outlined: dict[str, Tensor] = {}
        for name in names:
            with hub_errors(self.id, self.commit):
                header = HfApi().parse_safetensors_file_metadata(self.id, name, revision=self.commit)
            try:
                outlined |= {
                    key: torch.empty(tensor.shape, dtype=DTYPES[tensor.dtype], device="meta")
                    for key, tensor in header.tensors.items()
                }
            except (KeyError, RuntimeError, TypeError) as error:
                raise ModelUnavailableError(f"the header of {name} is damaged: {error}") from error
        return outlined


def find(hub_id: str, revision: str | None) -> Repository:
    """A repository at the commit that a revision names now.

    Args:
        hub_id: ``owner/name``.
        revision: a branch, a tag or a commit; the main branch if None.

    Raises:
        ConfigurationError: there is none that may be read.
        DownloadError: the hub cannot be asked.
    """
    with hub_errors(hub_id, revision):
        info = HfApi().model_info(hub_id, revision=revision, files_metadata=True)
    files = {
        each.rfilename: RemoteFile(each.size or 0, each.lfs.sha256 if each.lfs else None, each.blob_id)
        for each in info.siblings or ()
    }
    # They become names of files.
    digests = [file.sha256 for file in files.values() if file.sha256 is not None]
    if not re.fullmatch("[0-9a-f]{40}", info.sha or "") or not all(map(_SHA256.fullmatch, digests)):
        raise DownloadError(f"{constants.ENDPOINT} names no commit of {hub_id}, or no SHA-256 of its files")
    return Repository(info.id, str(info.sha), files)


def headers() -> dict[str, str]:
    """Of a request to the hub: the token, if there is one."""
    token = get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


@contextmanager
def hub_errors(hub_id: str, revision: str | None) -> Iterator[None]:
    """The hub's refusals as errors of ours, each in one line with what to do.

    Raises:
        ConfigurationError: the repository or the revision does not exist, or may not be read.
        DownloadError: the hub cannot be asked.
    """
    at = constants.ENDPOINT
    try:
        yield
    except LodestarError:
        raise
    except GatedRepoError as error:
        how = (
            "your token has no access to it yet: ask for it"
            if get_token()
            else "accept its terms, and set HF_TOKEN to a token of your account; you do both"
        )
        raise ConfigurationError(f"{hub_id} is gated: {how} at {at}/{hub_id}") from error
    except RepositoryNotFoundError as error:
        raise ConfigurationError(
            f"there is no {hub_id} at {at}, or it is private and HF_TOKEN does not allow it"
        ) from error
    except RevisionNotFoundError as error:
        raise ConfigurationError(f"{hub_id} has no revision {revision!r}") from error
    except HFValidationError as error:
        raise ConfigurationError(f"{hub_id!r} is no id of the hub, which are like owner/name") from error
    except OfflineModeIsEnabled as error:
        raise DownloadError(f"{hub_id} cannot be fetched: HF_HUB_OFFLINE is set") from error
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DownloadError(f"{hub_id} cannot be fetched from {at}: {reason}") from error
