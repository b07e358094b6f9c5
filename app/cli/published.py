"""Published files: downloads, checked against recorded digests."""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import httpx
import stamina
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from jobs.errors import ConfigurationError, LodestarError
from jobs.storage.files import write_whole

PUBLISHED = Path(__file__).with_name("published.toml")
ATTEMPTS = 3
TIMEOUT_S = 30.0
MAX_BYTES = 64 * 2**20

# Names become paths: none may lead out of the folder.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class DownloadError(LodestarError):
    """A published file cannot be fetched, or has changed."""

    type = "download"


class Group(BaseModel):
    """A folder of published files.

    Attributes:
        description: of the files.
        licence: under which they are published.
        url: of the folder, at a commit that never changes.
        sha256: the digest of each file, by its name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str
    licence: str
    url: str = Field(pattern=r"^https?://")
    sha256: dict[Name, Digest]


_GROUPS = TypeAdapter(dict[Name, Group])


@dataclass(frozen=True)
class Asset:
    """One published file.

    Attributes:
        name: ``group/file``, which is also where it is kept.
        url: where it is published.
        sha256: its digest, in hexadecimal digits.
    """

    name: str
    url: str
    sha256: str


def load_groups(file: Path = PUBLISHED) -> dict[str, Group]:
    """The groups of a list of assets, by name.

    Raises:
        ConfigurationError: the list cannot be read.
    """
    try:
        return _GROUPS.validate_python(tomllib.loads(file.read_text()))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"the list of assets {file} cannot be read: {error}") from error


def find_assets(names: Sequence[str], groups: Mapping[str, Group]) -> list[Asset]:
    """The files of groups (``laion-v1``) and single ones (``laion-v1/sa_0_4_vit_l_14_linear.pth``); all for no names.

    Raises:
        ConfigurationError: there is none of such a name.
    """
    known = {
        f"{name}/{file}": Asset(f"{name}/{file}", f"{group.url}/{quote(file)}", digest)
        for name, group in groups.items()
        for file, digest in group.sha256.items()
    }
    found: dict[str, Asset] = {}
    for wanted in names or groups:
        chosen = {name: asset for name, asset in known.items() if wanted in {name, name.partition("/")[0]}}
        if not chosen:
            raise ConfigurationError(f"there is no asset {wanted!r}; the groups are {', '.join(groups)}")
        found |= chosen
    return list(found.values())


def pull(asset: Asset, folder: Path, http: httpx.Client) -> bool:
    """Have a file in a folder; whether it had to be fetched.

    What is there already is kept if its digest is right, and replaced if not. A download that fails leaves nothing
    behind; one that is cut off is begun anew.

    Raises:
        DownloadError: it cannot be fetched, or is not the file that was published.
        OSError: the folder cannot be written.
    """
    path = folder / asset.name
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == asset.sha256:
        return False
    try:
        data = _fetch(asset.url, http)
    except httpx.HTTPStatusError as error:
        raise DownloadError(f"{asset.url} answers {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DownloadError(f"{asset.url} cannot be fetched: {str(error) or type(error).__name__}") from error
    if (digest := hashlib.sha256(data).hexdigest()) != asset.sha256:
        raise DownloadError(
            f"{asset.url} is not the file that was published: its SHA-256 is {digest}, not {asset.sha256}"
        )
    write_whole(path, data)
    return True


@stamina.retry(on=httpx.TransportError, attempts=ATTEMPTS)
def _fetch(url: str, http: httpx.Client) -> bytes:
    with http.stream("GET", url) as response:
        response.raise_for_status()
        data = bytearray()
        for part in response.iter_bytes():
            data += part
            if len(data) > MAX_BYTES:
                raise DownloadError(f"{url} is larger than {MAX_BYTES // 2**20} MiB")
        return bytes(data)
