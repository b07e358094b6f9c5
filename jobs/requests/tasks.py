"""Tasks: jobs that make no picture. They share the queue of those that do."""

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from jobs.requests.embeddings import EmbeddingInfo, EmbeddingName
from jobs.requests.request import Priority, ResolvedRequest
from jobs.requests.start.init import Fit
from jobs.wire import Wire, dump_as_stored


class _AnyTask(Wire):
    timeout_s: float = Field(600, description="Seconds that one attempt may run.")

    @property
    def priority(self) -> Priority:
        """Normal: a task is little work, so it need not go first."""
        return Priority.NORMAL


class _Task(_AnyTask):
    clip: str = Field(description="Id of the CLIP that embeds.")

    @property
    def model(self) -> str:
        """Id of the model that a worker needs in memory for it."""
        return self.clip

    @property
    def num_inputs(self) -> int:
        """Texts and pictures for the CLIP to embed."""
        return 1


class EmbeddingTask(_Task):
    """Make an aesthetic embedding from pictures."""

    kind: Literal["embedding"] = Field("embedding", description="Always `embedding`.")
    name: EmbeddingName
    normalize: bool = Field(True, description="Whether every picture counts the same.")
    pictures: tuple[str, ...] = Field(
        min_length=1, description="Where the artifact store keeps the pictures."
    )
    minus: tuple[str, ...] = Field((), description="Where it keeps pictures whose mean is subtracted.")

    @property
    def num_inputs(self) -> int:
        """All pictures."""
        return len(self.pictures) + len(self.minus)


class ImportTask(_Task):
    """Import an embedding from a file."""

    kind: Literal["import"] = Field("import", description="Always `import`.")
    name: EmbeddingName
    file: str = Field(description="Where the artifact store keeps the file.")
    filename: str = Field("", description="The caller's name for it.")


class ScoreTask(_Task):
    """Score pictures."""

    kind: Literal["score"] = Field("score", description="Always `score`.")
    prompt: str | None = Field(None, description="Text that the pictures are compared with, or null.")
    pictures: tuple[str, ...] = Field(
        min_length=1, description="Where the artifact store keeps the pictures."
    )

    @property
    def num_inputs(self) -> int:
        """All pictures, and the text."""
        return len(self.pictures) + (self.prompt is not None)


class QueryTask(_Task):
    """Embed a text or a picture, for a search."""

    kind: Literal["query"] = Field("query", description="Always `query`.")
    text: str | None = Field(None, description="The text, or null.")
    picture: str | None = Field(None, description="Where the artifact store keeps the picture, or null.")


class DescribeTask(_Task):
    """Find words that describe a picture."""

    kind: Literal["describe"] = Field("describe", description="Always `describe`.")
    picture: str = Field(description="Where the artifact store keeps the picture.")
    words_of: str = Field(description="Id of the model whose words are compared with it.")

    @property
    def num_inputs(self) -> int:
        """The picture and some hundreds of words."""
        return 300


class LargerPicture(Wire):
    """A picture to enlarge, and the size that it gets."""

    key: str = Field(description="Where the artifact store keeps it.")
    pixels: int = Field(description="Pixels that it has.")
    width: int = Field(description="Width that it gets.")
    height: int = Field(description="Height that it gets.")


class EnlargeTask(_AnyTask):
    """Enlarge pictures with Real-ESRGAN. Its results are pictures, as those of a request for some."""

    kind: Literal["enlarge"] = Field("enlarge", description="Always `enlarge`.")
    network: str = Field(description="The Real-ESRGAN network.")
    fit: Fit = Field(Fit.STRETCH, description="How a result is brought to a size of another shape.")
    pictures: tuple[LargerPicture, ...] = Field(min_length=1, description="The pictures.")

    @property
    def model(self) -> str:
        """None: any worker can do it, whatever it has in memory."""
        return ""

    @property
    def num_inputs(self) -> int:
        """The pictures."""
        return len(self.pictures)


ClipTask = EmbeddingTask | ImportTask | ScoreTask | QueryTask | DescribeTask
Task = ClipTask | EnlargeTask


class PictureScore(Wire):
    """The scores of one picture."""

    clip_score: float | None = Field(None, description="Cosine similarity to the prompt; null without one.")
    aesthetic_score: float | None = Field(
        None, description="The predictor's score, not clamped; null if the CLIP has no predictor."
    )


class Scores(Wire):
    """The scores of several pictures."""

    kind: Literal["scores"] = Field("scores", description="Always `scores`.")
    clip: str = Field(description="Id of the CLIP that scored.")
    pictures: tuple[PictureScore, ...] = Field(description="One for each picture, in their order.")


class Place(Wire):
    """A CLIP embedding."""

    kind: Literal["place"] = Field("place", description="Always `place`.")
    clip: str = Field(description="Id of the CLIP.")
    vector: tuple[float, ...] = Field(description="A unit vector.")


class Description(Wire):
    """The words that describe a picture, one of each group."""

    kind: Literal["description"] = Field("description", description="Always `description`.")
    clip: str = Field(description="Id of the CLIP.")
    caption: str = Field(description="The words in the form of a caption.")
    similarity: float = Field(description="Cosine similarity of the picture to the caption.")


TaskResult = EmbeddingInfo | Scores | Place | Description
AnyResult = Annotated[TaskResult, Field(discriminator="kind")]


JobKind = Literal["generate", "embedding", "import", "score", "query", "describe", "enlarge"]
"""What a job makes: pictures of a prompt, or the work of a task."""


def _kind(value: Any) -> str:
    found = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return "generate" if found is None else str(found)


# Requests for pictures are older than this field, and have none.
AnyRequest = Annotated[
    Annotated[ResolvedRequest, Tag("generate")]
    | Annotated[EmbeddingTask, Tag("embedding")]
    | Annotated[ImportTask, Tag("import")]
    | Annotated[ScoreTask, Tag("score")]
    | Annotated[QueryTask, Tag("query")]
    | Annotated[DescribeTask, Tag("describe")]
    | Annotated[EnlargeTask, Tag("enlarge")],
    Discriminator(_kind),
]
_REQUEST: TypeAdapter[ResolvedRequest | Task] = TypeAdapter(AnyRequest)
_RESULT: TypeAdapter[TaskResult] = TypeAdapter(AnyResult)


def generation_of(request: ResolvedRequest | Task) -> ResolvedRequest:
    """The request, if it is for pictures.

    Raises:
        TypeError: it is a task.
    """
    if not isinstance(request, ResolvedRequest):
        raise TypeError(f"a job of the kind {request.kind!r} makes no pictures")
    return request


def dump_request(request: ResolvedRequest | Task) -> str:
    """A job's request as it is stored, without defaults.

    So an older version reads every request that does not use a newer field. This holds while no default of a stored
    model changes.
    """
    fields = dump_as_stored(request)
    if not isinstance(request, ResolvedRequest):
        fields["kind"] = request.kind
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_request(data: str, *, extra: Literal["forbid", "ignore"] = "forbid") -> ResolvedRequest | Task:
    """The request of a stored job.

    Args:
        data: its JSON.
        extra: whether fields that this version does not know are an error.

    Raises:
        ValidationError: this version does not know it.
    """
    return _REQUEST.validate_json(data, extra=extra)


def read_result(data: str) -> TaskResult:
    """The result of a stored task."""
    return _RESULT.validate_json(data)
