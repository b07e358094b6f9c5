"""The client's searches and aesthetic embeddings."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.client.jobs import Client, read_answer
from jobs.errors import LodestarError
from jobs.requests.embeddings import EmbeddingInfo, EmbeddingList
from jobs.status.hits import Hits
from jobs.status.job import Job

# Longer than the server itself waits for a worker to read a query, or takes to decode the most pictures.
PATIENCE_S = 120.0

File = tuple[str, tuple[str, bytes]]


class NotReadableError(LodestarError):
    """A file that should be sent cannot be read."""

    type = "not_readable"


class AestheticsClient:
    """Searches, and makes and fetches embeddings.

    A picture is named by a file, or by what the server knows it as: a finished job's id for all of its pictures, or
    ``id/index`` for one. What exists or has a suffix is a file.

    All methods raise what Client raises, and those that send files NotReadableError.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def search_text(
        self, text: str, *, score: int | None = None, weight: float | None = None, limit: int = 20
    ) -> Hits:
        """The kept pictures that are most similar to a text, nearest first; see ``GET /v1/search``.

        Args:
            text: describes the pictures.
            score: prefer pictures that people would rate so, from 0 to 9.
            weight: how far the query is moved towards them; the server's default if None.
            limit: pictures at most, up to 200.
        """
        params = {"q": text, **_moved(score, weight, limit)}
        return read_answer(Hits, self._client.call("GET", "/v1/search", params=params, timeout=PATIENCE_S))

    def search_picture(
        self, picture: str, *, score: int | None = None, weight: float | None = None, limit: int = 20
    ) -> Hits:
        """The kept pictures that are most similar to another one; otherwise as ``search_text``."""
        files, refs = _split([picture], "picture")
        form = _moved(score, weight, limit) | ({"job": refs[0]} if refs else {})
        return read_answer(Hits, self._post("/v1/search", form, files))

    def list(self) -> tuple[EmbeddingInfo, ...]:
        """All embeddings, by name."""
        return read_answer(EmbeddingList, self._client.call("GET", _path())).data

    def get(self, name: str) -> EmbeddingInfo:
        """The description of an embedding."""
        return read_answer(EmbeddingInfo, self._client.call("GET", _path(name)))

    def make(
        self,
        name: str,
        pictures: Iterable[str],
        *,
        minus: Iterable[str] = (),
        clip: str | None = None,
        normalize: bool = True,
    ) -> Job:
        """Have an embedding made as the mean of pictures; the job that does it.

        Args:
            name: a new name.
            pictures: whose mean it is.
            minus: pictures whose mean is subtracted.
            clip: id of the CLIP to make it with; the server's default if None.
            normalize: whether every picture counts the same.
        """
        files, refs = _split(pictures, "pictures")
        minus_files, minus_refs = _split(minus, "minus_pictures")
        form = {
            "name": name,
            "normalize": str(normalize).lower(),
            "jobs": refs,
            "minus_jobs": minus_refs,
            **_given(clip=clip),
        }
        return read_answer(Job, self._post(_path(), form, files + minus_files))

    def import_(self, name: str, file: Path, *, clip: str | None = None) -> Job:
        """Have a file with one vector read as an embedding; the job that does it."""
        files = [("file", (file.name, _content(file)))]
        return read_answer(Job, self._post(_path("import"), {"name": name, **_given(clip=clip)}, files))

    def export(self, name: str) -> bytes:
        """An embedding as a safetensors file."""
        return self._client.call("GET", _path(name) + "/file").content

    def delete(self, name: str) -> None:
        """Delete an embedding."""
        self._client.call("DELETE", _path(name))

    def _post(self, path: str, form: dict[str, Any], files: Sequence[File]) -> Any:
        return self._client.call("POST", path, data=form, files=files, timeout=PATIENCE_S)


def _path(name: str | None = None) -> str:
    return "/v1/aesthetic-embeddings" + ("" if name is None else f"/{quote(name, safe='')}")


def _moved(score: int | None, weight: float | None, limit: int) -> dict[str, Any]:
    return {"limit": limit, **_given(aesthetic_score=score, aesthetic_weight=weight)}


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _split(pictures: Iterable[str], field: str) -> tuple[list[File], list[str]]:
    """The pictures that are files, as parts of a form, and those of the server's jobs."""
    files: list[File] = []
    refs: list[str] = []
    for picture in pictures:
        path = Path(picture)
        if path.suffix or path.exists():
            files.append((field, (path.name, _content(path))))
        else:
            refs.append(picture)
    return files, refs


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotReadableError(f"cannot read {path}: {error.strerror}") from error
