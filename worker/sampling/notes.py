"""What is said of texts that are longer than what reads them: the rest of them is left out, and nobody would know."""

from collections.abc import Generator
from typing import Any

from jobs.requests.objectives import TextObjective
from jobs.requests.request import ResolvedRequest
from worker.calls import Call, Measure, Note, Reading

Texts = dict[Measure, str]  # what each text is, for a person


def note_cut_texts(request: ResolvedRequest, text_clip: str | None) -> Generator[Call, Any, None]:
    """Note those texts of a request that are not read to their end.

    Args:
        request: of the job.
        text_clip: id of the CLIP that the model's text encoder belongs to.
    """
    texts = {Measure("model", request.model, request.prompt): "the prompt"}
    if request.cfg_scale != 1:
        texts[Measure("model", request.model, request.negative_prompt)] = "the negative prompt"
    guidance, personalization = request.guidance, request.personalization
    for number, objective in enumerate(guidance.objectives if guidance and guidance.scale else ()):
        if guidance and isinstance(objective, TextObjective):
            what = "the prompt" if objective.text == request.prompt else f"the text of objective {number}"
            texts.setdefault(Measure("clip", objective.clip or guidance.clip, objective.text), what)
    if personalization and personalization.text is not None and text_clip is not None:
        texts.setdefault(Measure("clip", text_clip, personalization.text), "the text of the personalisation")
    if request.select is not None:
        texts.setdefault(Measure("clip", request.select.scorer, request.prompt), "the prompt")
    yield from note_cut(texts)


def note_cut(texts: Texts) -> Generator[Call, Any, None]:
    """Note those of some texts that are not read to their end."""
    for measure, what in texts.items():
        reading: Reading | None = yield measure
        if reading is not None and reading.tokens > reading.room:
            reader = (
                f"the text encoder of {measure.id}" if measure.kind == "model" else f"the CLIP {measure.id}"
            )
            yield Note(
                f"{reader} reads {reading.limit} tokens, their start and end included; "
                f"the last {reading.tokens - reading.room} of the {reading.tokens} of {what} were left out"
            )
