"""The named aesthetic embeddings: one safetensors file each in the artifact store; its metadata describe it."""

from hashlib import sha256

from jobs.errors import NameTakenError, UnknownEmbeddingError, UnknownImageError
from jobs.requests.embeddings import EmbeddingInfo
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.safetensors_header import read_metadata, with_metadata

_FOLDER = "aesthetic-embeddings"
_MADE_BY = "execution"


class EmbeddingLibrary:
    """The embeddings by name.

    Every method lets OSError through when the artifact store cannot be reached.
    """

    def __init__(self, artifacts: ArtifactStore, tenant: str = "") -> None:
        """The library of a tenant; of the default one if it is empty."""
        self._artifacts = artifacts
        self._folder = f"tenants/{tenant}/{_FOLDER}" if tenant else _FOLDER

    def get(self, name: str) -> EmbeddingInfo:
        """The description of an embedding.

        Raises:
            UnknownEmbeddingError: there is none of this name.
        """
        return describe(self.file(name), name)

    def file(self, name: str) -> bytes:
        """Its safetensors file.

        Raises:
            UnknownEmbeddingError: there is none of this name.
        """
        try:
            return self._artifacts.get(self._key(name))
        except UnknownImageError as error:
            raise UnknownEmbeddingError(f"there is no aesthetic embedding {name!r}") from error

    def list(self) -> tuple[EmbeddingInfo, ...]:
        """All of them, by name."""
        found = []
        for key in self._artifacts.keys(self._folder):
            try:
                found.append(describe(self._artifacts.get(key), key))
            except UnknownImageError:
                continue  # deleted meanwhile
        return tuple(sorted(found, key=lambda info: info.name))

    def put(self, name: str, file: bytes) -> None:
        """Keep an embedding, in place of any other of its name."""
        self._artifacts.put(self._key(name), file)

    def put_new(self, name: str, file: bytes, execution: str) -> None:
        """Keep an embedding that an execution has made, if its name is free.

        An execution may have been lost after it kept its embedding and before its job was settled. Another of the same
        job takes its place.

        Args:
            name: of the embedding.
            file: its safetensors file.
            execution: its prefix in the store, ``job/fence``, which the file's metadata will have.

        Raises:
            NameTakenError: there is one of another job.
        """
        marked = with_metadata(file, **{_MADE_BY: execution})
        try:
            self._artifacts.put_new(self._key(name), marked)
        except FileExistsError:
            maker = self._maker(name)
            if maker == execution:
                return  # an earlier try, whose answer was lost
            if maker is None or maker.split("/")[0] != execution.split("/")[0]:
                raise NameTakenError(f"there is an embedding {name!r} already") from None
            self._artifacts.put(self._key(name), marked)

    def take_back(self, name: str, execution: str) -> None:
        """Delete an embedding if this execution made it."""
        if self._maker(name) == execution:
            self._artifacts.delete(self._key(name))

    def _maker(self, name: str) -> str | None:
        """The execution that made an embedding; None if it is not known, or there is no embedding."""
        try:
            return read_metadata(self._artifacts.get(self._key(name)), name).get(_MADE_BY)
        except UnknownImageError:
            return None

    def _key(self, name: str) -> str:
        # No path from a request.
        return f"{self._folder}/{sha256(name.encode()).hexdigest()[:32]}.safetensors"

    def delete(self, name: str) -> None:
        """Delete an embedding.

        Raises:
            UnknownEmbeddingError: there is none of this name.
        """
        self.file(name)
        self._artifacts.delete(self._key(name))


def describe(file: bytes, name: str) -> EmbeddingInfo:
    """The description in a file's metadata."""
    known = EmbeddingInfo.model_fields.keys() - {"kind"}
    metadata = {key: value for key, value in read_metadata(file, name).items() if key in known}
    return EmbeddingInfo.model_validate({"name": name, **metadata})
