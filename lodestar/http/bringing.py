"""The calls that bring pictures or files: uploads, searches, scores, embeddings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from jobs.requests.conditions.maps import MapRequest
from jobs.requests.embeddings import EmbeddingInfo, EmbeddingList
from jobs.requests.uploads import Upload, Uploads
from jobs.status.hits import Hits
from jobs.status.job import Job
from lodestar.errors import InvalidRequestError, NotReadableError, invalid_request
from lodestar.http.calls import given
from lodestar.http.flow import Call, Flow, parsed
from lodestar.inputs import File, PictureLike, named_file, split, with_files_inline
from lodestar.picture import PngFile

EMBEDDINGS = "/v1/aesthetic-embeddings"
UPLOADS = "/v1/uploads"
# Longer than the server itself waits for a worker to read a query, or takes to decode the most pictures.
PATIENCE_S = 120.0


def upload(pictures: PictureLike) -> Flow[tuple[Upload, ...]]:
    """Have pictures kept for some time. The same picture is kept once however often it comes."""
    files, refs = split(pictures, "files")
    if refs:
        raise NotReadableError(f"cannot read {refs[0]}: there is no such file")
    return parsed(Uploads, (yield _form(UPLOADS, {}, files, is_repeatable=True))).data


def list_uploads() -> Flow[tuple[Upload, ...]]:
    """The caller's uploads."""
    return parsed(Uploads, (yield Call("GET", UPLOADS))).data


def get_upload(upload_id: str) -> Flow[Upload]:
    """The description of an upload."""
    return parsed(Upload, (yield Call("GET", upload_path(upload_id))))


def search(query: str | None, picture: PictureLike, moved: Mapping[str, Any]) -> Flow[Hits]:
    """The kept pictures that are most similar to a text, or else to a picture.

    Raises:
        InvalidRequestError: neither is given, or both.
    """
    if (query is None) == (picture is None):
        raise InvalidRequestError("give either a text or a picture", status=422)
    if query is not None:
        options: dict[str, Any] = {"params": {"q": query, **moved}, "timeout": PATIENCE_S}
        return parsed(Hits, (yield Call("GET", "/v1/search", options)))
    files, refs = split(picture, "picture")
    return parsed(Hits, (yield _form("/v1/search", {**moved, **given(job=refs[0] if refs else None)}, files)))


def detect(picture: PictureLike, preprocess: str | None, fields: Mapping[str, Any]) -> Flow[PngFile]:
    """Have the map of a picture made.

    Raises:
        InvalidRequestError: a field is unknown or out of its bounds.
        NotReadableError: the picture cannot be read.
    """
    asked = with_files_inline({"image": picture, **given(preprocess=preprocess), **fields})
    try:
        request = MapRequest.model_validate(asked)
    except ValidationError as error:
        raise invalid_request(error) from error
    options = {"json": request.model_dump(mode="json", exclude_unset=True), "timeout": PATIENCE_S}
    return PngFile((yield Call("POST", "/v1/controls/detect", options)).content)


def score(pictures: PictureLike, prompt: str | None, clip: str | None) -> Flow[Job]:
    """Have pictures scored; the job that does it."""
    files, refs = split(pictures, "pictures")
    return parsed(Job, (yield _form("/v1/scores", {"jobs": refs, **given(prompt=prompt, clip=clip)}, files)))


def make_embedding(
    name: str, pictures: PictureLike, minus: PictureLike, clip: str | None, normalize: bool
) -> Flow[Job]:
    """Have an embedding made; the job that does it."""
    files, refs = split(pictures, "pictures")
    minus_files, minus_refs = split(minus, "minus_pictures")
    fields = {
        "name": name,
        "normalize": str(normalize).lower(),
        "jobs": refs,
        "minus_jobs": minus_refs,
        **given(clip=clip),
    }
    return parsed(Job, (yield _form(EMBEDDINGS, fields, files + minus_files)))


def import_embedding(name: str, file: Path, clip: str | None) -> Flow[Job]:
    """Have a file read as an embedding; the job that does it."""
    files = [("file", named_file(file))]
    return parsed(Job, (yield _form(f"{EMBEDDINGS}/import", {"name": name, **given(clip=clip)}, files)))


def list_embeddings() -> Flow[tuple[EmbeddingInfo, ...]]:
    """All embeddings, by name."""
    return parsed(EmbeddingList, (yield Call("GET", EMBEDDINGS))).data


def get_embedding(name: str) -> Flow[EmbeddingInfo]:
    """The description of an embedding."""
    return parsed(EmbeddingInfo, (yield Call("GET", embedding_path(name))))


def embedding_path(name: str) -> str:
    """Path of an embedding, whatever its name is."""
    return f"{EMBEDDINGS}/{quote(name, safe='')}"


def upload_path(upload_id: str) -> str:
    """Path of an upload, whatever its id is."""
    return f"{UPLOADS}/{quote(upload_id, safe='')}"


def _form(path: str, fields: dict[str, Any], files: list[File], *, is_repeatable: bool = False) -> Call:
    options = {"data": fields, "files": files, "timeout": PATIENCE_S}
    return Call("POST", path, options, is_repeatable)
