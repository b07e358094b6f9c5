"""The named aesthetic embeddings: one safetensors file each in the artifact store, which tells all that is known."""

from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field

from jobs.errors import NameTakenError, UnknownEmbeddingError, UnknownImageError
from jobs.storage.artifacts import ArtifactStore
from jobs.storage.safetensors_header import read_metadata, with_metadata
from jobs.wire import Wire

EmbeddingName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Name of an aesthetic embedding.",
        examples=["fluent"],
    ),
]
_FOLDER = "aesthetic-embeddings"
_MADE_BY = "execution"


class EmbeddingInfo(Wire):
    """An aesthetic embedding: a taste, as one vector of a CLIP's space."""

    kind: Literal["embedding"] = Field("embedding", description="Always `embedding`.")
    name: str = Field(description="Its name.", examples=["fluent"])
    clip: str = Field(description="Id of the CLIP that made it, the only one that can use it.")
    digest: str = Field(description="SHA-256 of its numbers.")
    made_from: Literal["pictures", "contrast", "import"] = Field(
        description="The mean of pictures, the mean of some minus the mean of others, or a file of others."
    )
    normalize: bool | None = Field(
        None,
        description="Whether every picture counts the same, whatever its embedding's length; null for a file.",
    )
    pictures: int | None = Field(None, description="Number of pictures; null for a file.")
    minus: int | None = Field(None, description="Number of pictures whose mean was taken off; null without.")


class EmbeddingList(Wire):
    """All aesthetic embeddings."""

    data: tuple[EmbeddingInfo, ...] = Field(description="The embeddings, by name.")


class EmbeddingLibrary:
    """The embeddings by name.

    Every method lets OSError through when the artifact store cannot be reached.
    """

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def get(self, name: str) -> EmbeddingInfo:
        """What is known of an embedding.

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
            return self._artifacts.get(key_of(name))
        except UnknownImageError as error:
            raise UnknownEmbeddingError(f"there is no aesthetic embedding {name!r}") from error

    def list(self) -> tuple[EmbeddingInfo, ...]:
        """All of them, by name."""
        found = []
        for key in self._artifacts.keys(_FOLDER):
            try:
                found.append(describe(self._artifacts.get(key), key))
            except UnknownImageError:
                continue  # deleted meanwhile
        return tuple(sorted(found, key=lambda info: info.name))

    def put(self, name: str, file: bytes) -> None:
        """Keep an embedding, in place of any other of its name."""
        self._artifacts.put(key_of(name), file)

    def put_new(self, name: str, file: bytes, execution: str) -> None:
        """Keep an embedding that an execution has made, if its name is free.

        An execution may have been lost after it kept its embedding and before its job was settled. Another of the same
        job takes its place.

        Args:
            name: of the embedding.
            file: its safetensors file.
            execution: where that one keeps what it makes, ``job/fence``; the file tells it from then on.

        Raises:
            NameTakenError: there is one of another job.
        """
        marked = with_metadata(file, **{_MADE_BY: execution})
        try:
            self._artifacts.put_new(key_of(name), marked)
        except FileExistsError:
            maker = self._maker(name)
            if maker == execution:
                return  # an earlier try, whose answer was lost
            if maker is None or maker.split("/")[0] != execution.split("/")[0]:
                raise NameTakenError(f"there is an embedding {name!r} already") from None
            self._artifacts.put(key_of(name), marked)

    def take_back(self, name: str, execution: str) -> None:
        """Forget the embedding that an execution kept, if it still is that one."""
        if self._maker(name) == execution:
            self._artifacts.delete(key_of(name))

    def _maker(self, name: str) -> str | None:
        """The execution that made an embedding; None if it is not known, or there is no embedding."""
        try:
            return read_metadata(self._artifacts.get(key_of(name)), name).get(_MADE_BY)
        except UnknownImageError:
            return None

    def delete(self, name: str) -> None:
        """Forget an embedding.

        Raises:
            UnknownEmbeddingError: there is none of this name.
        """
        self.file(name)
        self._artifacts.delete(key_of(name))


def describe(file: bytes, name: str) -> EmbeddingInfo:
    """What the metadata of a file tell."""
    known = EmbeddingInfo.model_fields.keys() - {"kind"}
    metadata = {key: value for key, value in read_metadata(file, name).items() if key in known}
    return EmbeddingInfo.model_validate({"name": name, **metadata})


def key_of(name: str) -> str:
    """Where the artifact store keeps an embedding."""
    # No path from a request.
    return f"{_FOLDER}/{sha256(name.encode()).hexdigest()[:32]}.safetensors"
