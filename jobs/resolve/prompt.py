"""Resolve a request's prompts: read their syntax, and refuse what cannot be done with it."""

from jobs.catalog.models import ModelCard
from jobs.errors import InvalidRequestError
from jobs.prompts.fields import ResolvedPrompt
from jobs.prompts.parse import branches
from jobs.prompts.prompt import LongPrompt, PromptSyntax
from jobs.requests.presets import PRESETS
from jobs.requests.request import GenerateRequest
from jobs.requests.selection import Weights
from jobs.resolve.conditions.texts import require_readable


def resolve_prompt(request: GenerateRequest, card: ModelCard) -> ResolvedPrompt:
    """The prompts with every default, and the numbers that make rows of them.

    Raises:
        InvalidRequestError: a prompt does not say what it means in its syntax, has no words where some are needed, or
            is asked for what its syntax does not allow.
    """
    syntax, long_prompt = request.prompt_syntax, request.long_prompt
    if long_prompt is None:
        long_prompt = LongPrompt.CHUNK if syntax == PromptSyntax.A1111 else LongPrompt.CUT
    prompt = ResolvedPrompt(
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        prompt_syntax=syntax,
        long_prompt=long_prompt,
        clip_skip=card.clip_skip if request.clip_skip is None else request.clip_skip,
        steps=request.steps or card.steps,
        cfg_scale=card.cfg_scale if request.cfg_scale is None else request.cfg_scale,
        cfg_embedded=card.cfg_embedded,
    )
    for field in ("prompt", "negative_prompt"):
        _require_sense(prompt, field)
    require_readable(request, prompt, card)
    _require_words(request, prompt)
    _require_one_row(request, prompt, card)
    if request.personalization is not None:
        _require_a_plain_text(prompt)
    guidance = request.guidance
    if (
        guidance is not None
        and guidance.preset is not None
        and len(prompt.branches) > 1
        and PRESETS[guidance.preset].through == "conditional"
    ):
        raise InvalidRequestError(
            f"preset {guidance.preset!r} goes back through the prompt's row, and AND makes several",
            field="prompt",
        )
    return prompt


def _require_sense(prompt: ResolvedPrompt, field: str) -> None:
    text, joins = getattr(prompt, field), field == "prompt"
    try:
        branches(text, prompt.prompt_syntax, prompt.long_prompt, prompt.steps, joins=joins)
    except ValueError as error:
        raise InvalidRequestError(str(error), field=field) from error


def _require_one_row(request: GenerateRequest, prompt: ResolvedPrompt, card: ModelCard) -> None:
    """Refuse what a model that reads the scale as an input cannot do, and to be told that it is of the other kind."""
    if request.cfg_embedded not in (None, card.cfg_embedded):
        raise InvalidRequestError(
            f"cfg_embedded of model {card.id!r} is {str(card.cfg_embedded).lower()}; leave it out",
            field="cfg_embedded",
        )
    if not card.cfg_embedded:
        return
    if prompt.cfg_scale < 1:
        raise InvalidRequestError(
            f"model {card.id!r} reads cfg_scale as an input, from 1 (no guidance) on, not {prompt.cfg_scale:g}",
            field="cfg_scale",
        )
    if len(prompt.branches) > 1 or prompt.branches[0].weight != 1:
        raise InvalidRequestError(
            f"model {card.id!r} guides by itself, with one row for each picture, and AND needs several",
            field="prompt",
        )


def _require_words(request: GenerateRequest, prompt: ResolvedPrompt) -> None:
    """Refuse to compare pictures with an empty prompt: the scores would mean nothing."""
    if prompt.words.strip():
        return
    guidance, select = request.guidance, request.select
    if guidance is not None and guidance.objectives is None and not (guidance.prompt or "").strip():
        raise InvalidRequestError(
            "the prompt is empty, so guidance has no target; give guidance.prompt or guidance.objectives",
            field="guidance.prompt",
        )
    if select is not None and (select.by == "clip" or (isinstance(select.by, Weights) and select.by.clip)):
        raise InvalidRequestError(
            "the prompt is empty, so no candidate is more like it than another; choose by aesthetic",
            field="select.by",
        )


def _require_a_plain_text(prompt: ResolvedPrompt) -> None:
    """Refuse a personalized prompt with weights or changes: aesthetic gradients fit the encoder to one whole text."""
    (plain,) = branches(prompt.prompt, PromptSyntax.PLAIN, prompt.long_prompt, prompt.steps)
    whole = prompt.branches[0].spans[0].wording
    if len(prompt.branches) > 1 or len(prompt.branches[0].spans) > 1 or whole.parts != plain.at(0).parts:
        raise InvalidRequestError(
            "a personalized prompt is one whole text, without weights, changes and AND", field="prompt_syntax"
        )
    if prompt.long_prompt == LongPrompt.CHUNK:
        raise InvalidRequestError(
            "a personalized prompt is cut at the text encoder's context: give long_prompt cut",
            field="long_prompt",
        )
