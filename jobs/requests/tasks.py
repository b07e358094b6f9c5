"""Small jobs that make no picture: they go the same durable way through the queue as pictures do."""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from jobs.requests.embeddings import EmbeddingInfo, EmbeddingName
from jobs.requests.request import Priority, ResolvedRequest
from jobs.wire import Wire


class _Task(Wire):
    clip: str = Field(description="Id of the CLIP that does it.")
    timeout_s: float = Field(600, description="Seconds that one attempt may run.")

    @property
    def model(self) -> str:
        """What its worker has to have in memory."""
        return self.clip

    @property
    def priority(self) -> Priority:
        """Normal: a task is so little work that its turn comes soon."""
        return Priority.NORMAL

    @property
    def looks(self) -> int:
        """Texts and pictures that the CLIP looks at."""
        return 1


class EmbeddingTask(_Task):
    """Make an aesthetic embedding from pictures."""

    kind: Literal["embedding"] = Field("embedding", description="Always `embedding`.")
    name: EmbeddingName
    normalize: bool = Field(True, description="Whether every picture counts the same.")
    pictures: tuple[str, ...] = Field(
        min_length=1, description="Where the artifact store keeps the pictures."
    )
    minus: tuple[str, ...] = Field((), description="Likewise, of pictures whose mean is taken off.")

    @property
    def looks(self) -> int:
        """One at each picture."""
        return len(self.pictures) + len(self.minus)


class ImportTask(_Task):
    """Keep an embedding that others have made."""

    kind: Literal["import"] = Field("import", description="Always `import`.")
    name: EmbeddingName
    file: str = Field(description="Where the artifact store keeps the file.")
    filename: str = Field("", description="What the caller calls it.")


class ScoreTask(_Task):
    """Score pictures."""

    kind: Literal["score"] = Field("score", description="Always `score`.")
    prompt: str | None = Field(None, description="Text that the pictures are compared with, or null.")
    pictures: tuple[str, ...] = Field(
        min_length=1, description="Where the artifact store keeps the pictures."
    )

    @property
    def looks(self) -> int:
        """One at each picture, and one at the text."""
        return len(self.pictures) + (self.prompt is not None)


class QueryTask(_Task):
    """Find the place of a text or a picture in a CLIP's space."""

    kind: Literal["query"] = Field("query", description="Always `query`.")
    text: str | None = Field(None, description="The text, or null.")
    picture: str | None = Field(None, description="Where the artifact store keeps the picture, or null.")


Task = EmbeddingTask | ImportTask | ScoreTask | QueryTask


class PictureScore(Wire):
    """What a CLIP and its predictor say of one picture."""

    clip_score: float | None = Field(None, description="Cosine similarity to the prompt; null without one.")
    aesthetic_score: float | None = Field(
        None, description="The predictor's score, not clamped; null if the CLIP has no predictor."
    )


class Scores(Wire):
    """The scores of several pictures."""

    kind: Literal["scores"] = Field("scores", description="Always `scores`.")
    clip: str = Field(description="Id of the CLIP that judged.")
    pictures: tuple[PictureScore, ...] = Field(description="One for each picture, in their order.")


class Place(Wire):
    """A place in a CLIP's space."""

    kind: Literal["place"] = Field("place", description="Always `place`.")
    clip: str = Field(description="Id of the CLIP.")
    vector: tuple[float, ...] = Field(description="A unit vector.")


TaskResult = EmbeddingInfo | Scores | Place
AnyResult = Annotated[TaskResult, Field(discriminator="kind")]


def _kind(value: Any) -> str:
    found = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "generate" if found is None else str(found)


# Requests for pictures came first and name no kind.
AnyRequest = Annotated[
    Annotated[ResolvedRequest, Tag("generate")]
    | Annotated[EmbeddingTask, Tag("embedding")]
    | Annotated[ImportTask, Tag("import")]
    | Annotated[ScoreTask, Tag("score")]
    | Annotated[QueryTask, Tag("query")],
    Discriminator(_kind),
]
_REQUEST: TypeAdapter[ResolvedRequest | Task] = TypeAdapter(AnyRequest)
_RESULT: TypeAdapter[TaskResult] = TypeAdapter(AnyResult)


def drawing_of(request: ResolvedRequest | Task) -> ResolvedRequest:
    """A request that is for pictures.

    Raises:
        TypeError: it is for something else, which the caller should have known.
    """
    if not isinstance(request, ResolvedRequest):
        raise TypeError(f"a job of the kind {request.kind!r} draws nothing")
    return request


def dump_request(request: ResolvedRequest | Task) -> str:
    """What a job does, as it is stored: without what is by default.

    So a version that does not know a field reads every request that does not use it. It takes the defaults for the
    same in all versions: none of a stored model ever changes.
    """
    fields = request.model_dump(mode="json", exclude_defaults=True)
    if not isinstance(request, ResolvedRequest):
        fields["kind"] = request.kind
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_request(data: str, *, extra: Literal["forbid", "ignore"] = "forbid") -> ResolvedRequest | Task:
    """What a stored job does.

    Args:
        data: its JSON.
        extra: what is done with fields that this version does not know.

    Raises:
        ValidationError: this version does not know it.
    """
    return _REQUEST.validate_json(data, extra=extra)


def read_result(data: str) -> TaskResult:
    """What came of a stored task."""
    return _RESULT.validate_json(data)
