"""Notes on texts beyond their encoder's limit: the encoder drops the rest without an error."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

from jobs.prompts.prompt import LongPrompt
from jobs.requests.objectives import TextObjective
from jobs.requests.request import ResolvedRequest
from worker.events import Note, Yield
from worker.facts import Facts, Reading
from worker.sampling.inputs import SamplerInputs


@dataclass(frozen=True)
class _Text:
    """A text and its encoder, in words for a person."""

    reader: str
    measure: Callable[[str], Reading | None]
    text: str
    what: str


def note_cut_texts(
    request: ResolvedRequest, facts: Facts, inputs: SamplerInputs
) -> Generator[Yield, None, None]:
    """Note the texts of a request that are not read to their end.

    Args:
        request: of the job.
        facts: of its models.
        inputs: name its CLIPs.
    """
    texts = list(_encoded(request, facts))
    guidance, personalization = request.guidance, request.personalization
    for number, objective in enumerate(guidance.objectives if guidance and guidance.scale else ()):
        if guidance and isinstance(objective, TextObjective):
            what = "the prompt" if objective.text == request.words else f"the text of objective {number}"
            texts.append(_of_clip(objective.clip or guidance.clip, objective.text, what, facts))
    if personalization and personalization.text is not None and inputs.text_clip is not None:
        texts.append(
            _of_clip(inputs.text_clip, personalization.text, "the text of the personalization", facts)
        )
    if request.select is not None:
        texts.append(_of_clip(inputs.scorer, request.words, "the prompt", facts))
    yield from _notes(texts)


def _encoded(request: ResolvedRequest, facts: Facts) -> Iterator[_Text]:
    """The texts of which the model's text encoder reads one window."""
    if request.long_prompt == LongPrompt.CHUNK:
        return
    prompts = [(branch, "the prompt") for branch in request.branches]
    if request.negative_weights:
        prompts.append((request.negative_branch, "the negative prompt"))
    for branch, what in prompts:
        for text in dict.fromkeys(text for span in branch.spans for text in span.wording.texts):
            yield _of_model(request.model, text, what, facts)


def note_cut_text(clip: str, text: str, what: str, facts: Facts) -> Generator[Yield, None, None]:
    """Note a text that a CLIP does not read to its end.

    Args:
        clip: id of the CLIP.
        text: that it embeds.
        what: the text's name, for a person: "the prompt".
        facts: of the CLIP.
    """
    yield from _notes([_of_clip(clip, text, what, facts)])


def _of_model(model: str, text: str, what: str, facts: Facts) -> _Text:
    return _Text(f"the text encoder of {model}", facts.models[model].measure, text, what)


def _of_clip(clip: str, text: str, what: str, facts: Facts) -> _Text:
    return _Text(f"the CLIP {clip}", facts.clips[clip].measure, text, what)


def _notes(texts: Iterable[_Text]) -> Generator[Yield, None, None]:
    """A note on each text that is cut, once for each encoder."""
    known: dict[tuple[str, str], _Text] = {}
    for each in texts:
        known.setdefault((each.reader, each.text), each)
    for each in known.values():
        reading = each.measure(each.text)
        if reading is not None and reading.tokens > reading.room:
            yield Note(
                f"{each.reader} reads {reading.limit} tokens, their start and end included; "
                f"the last {reading.tokens - reading.room} of the {reading.tokens} of {each.what} were left out"
            )
