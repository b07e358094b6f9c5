"""Resolve what a request asks of a model that reads no text: CLIP guidance alone tells it of the prompt."""

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.fields import ResolvedPrompt
from jobs.requests.request import GenerateRequest

_FOR_TEXTS = ("negative_prompt", "personalization", "adapters", "controls", "image_prompts", "clip_skip")


def with_default_guidance(request: GenerateRequest, card: ModelCard) -> GenerateRequest:
    """The request with the guidance that its model has by default.

    One that names no preset keeps what it says, and gets the rest. A preset of its own stands alone: a scale has no
    meaning in another. Without words there is nothing to guide towards, so a request for none stays without.
    """
    default, asked = card.guidance, request.guidance
    if default is None or (asked is None and not request.prompt.strip()):
        return request
    if asked is None:
        return request.model_copy(update={"guidance": default})
    if asked.preset is not None:
        return request
    said = {name: getattr(asked, name) for name in asked.model_fields_set}
    if asked.objectives is not None or asked.prompt is not None:
        said |= {"objectives": asked.objectives, "prompt": asked.prompt}
    return request.model_copy(update={"guidance": default.model_copy(update=said)})


def require_readable(request: GenerateRequest, prompt: ResolvedPrompt, card: ModelCard) -> None:
    """Refuse what only a model can do that reads texts.

    Raises:
        InvalidRequestError: the model reads none.
    """
    if card.family.reads_texts:
        return
    why = f"model {card.id!r} is of the family {card.family}, which reads no text: CLIP guidance alone steers it"
    if prompt.cfg_scale != 1:
        raise InvalidRequestError(
            f"{why}, and classifier-free guidance has nothing to weigh; leave cfg_scale out",
            field="cfg_scale",
        )
    for field in _FOR_TEXTS:
        if getattr(request, field):
            raise InvalidRequestError(f"{why}; leave {field} out", field=field)
    if len(prompt.branches) > 1:
        raise InvalidRequestError(f"{why}; name several guidance.objectives instead of AND", field="prompt")
