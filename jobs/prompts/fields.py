"""The prompt of a request with every default filled in."""

from typing import Annotated

from pydantic import Field

from jobs.prompts.parse import branches, plain_words
from jobs.prompts.prompt import Branch, Branches, LongPrompt, PromptSyntax, Wording
from jobs.wire import Wire

MAX_CLIP_SKIP = 11  # the web UI's 12; CLIP ViT-L has as many layers
ROUNDING = 1e-9  # of a sum of weights that ought to be 1

PROMPT = Field(
    description=(
        "Description of the picture; may be empty. The model's text encoder reads a limited number of "
        "tokens, usually 77. The job's `notes` say how many were left out."
    ),
    examples=["a red apple on a light blue background"],
)


class ResolvedPrompt(Wire):
    """The prompts, and what makes rows of them."""

    prompt: Annotated[str, PROMPT]
    negative_prompt: str = Field(
        description="Description of what to avoid; cut off at the same length as the prompt.",
        examples=["blurry"],
    )
    prompt_syntax: PromptSyntax = Field(
        PromptSyntax.PLAIN,
        description="How the prompts are read: `plain` as they stand, `a1111` with AUTOMATIC1111's emphasis, changes, "
        "`BREAK` and `AND`, `compel` with compel's weights, `.blend()` and `.and()`.",
        examples=["plain"],
    )
    long_prompt: LongPrompt = Field(
        LongPrompt.CUT,
        description="What happens to words beyond the text encoder's context: `cut` leaves them out, `chunk` encodes "
        "them apart and adds them. Default: `chunk` for the syntax `a1111`, else `cut`.",
        examples=["cut"],
    )
    clip_skip: int = Field(
        0,
        description="Last layers of the text encoders that are left out, beyond those that the model leaves out as a "
        "rule, as in diffusers: 1 is what AUTOMATIC1111's web UI calls clip skip 2. Default: the model's own.",
        examples=[0],
    )
    steps: int = Field(
        description="Sampling steps for each picture. Default: the model's own.", examples=[25]
    )
    cfg_scale: float = Field(
        description="Classifier-free guidance scale; 1 turns it off. Default: the model's own.",
        examples=[5.0],
    )
    cfg_embedded: bool = Field(
        False,
        description="Whether the model reads `cfg_scale` as an input, as full LCM checkpoints do: each picture then "
        "has the prompt's row alone, and the negative prompt has no effect. It follows from the model.",
        examples=[False],
    )

    @property
    def branches(self) -> Branches:
        """What the prompt says, as the rows that it has."""
        return self._read(self.prompt, joins=True)

    @property
    def negative_branch(self) -> Branch:
        """What the negative prompt says; it has one row."""
        (branch,) = self._read(self.negative_prompt, joins=False)
        return branch

    def _read(self, text: str, *, joins: bool) -> Branches:
        syntax, long_prompt, steps = self.prompt_syntax, self.long_prompt, self.steps
        return branches(text, syntax, long_prompt, steps, joins=joins, clip_skip=self.clip_skip)

    @property
    def wordings(self) -> tuple[Wording, ...]:
        """All that the text encoder reads, once each."""
        read = self.branches if self.conditional_scale else ()
        if self.negative_weights:
            read = (*read, self.negative_branch)
        return tuple(dict.fromkeys(span.wording for branch in read for span in branch.spans))

    @property
    def words(self) -> str:
        """The prompt without its syntax: what a CLIP compares pictures with."""
        return plain_words(self.prompt, self.prompt_syntax, self.steps)

    @property
    def conditional_scale(self) -> float:
        """What the weights of the prompt's rows are multiplied by: 1 where the model guides by itself."""
        return 1.0 if self.cfg_embedded else self.cfg_scale

    @property
    def unprompted_weight(self) -> float:
        """What the rows of the prompt leave of 1, to which the weights of all rows sum."""
        return 1 - self.conditional_scale * sum(branch.weight for branch in self.branches)

    @property
    def negative_weights(self) -> tuple[float, ...]:
        """The weights of the rows that read the negative prompt, the last ones; a row of weight 0 is left out."""
        return weights_with(self.unprompted_weight)


def weights_with(unprompted: float, image_cfg_scale: float = 1.0) -> tuple[float, ...]:
    """The weights of the rows without the prompt: of one that sees a picture, and of one that sees none.

    Args:
        unprompted: what the rows of the prompt leave of 1.
        image_cfg_scale: of the picture; at 1 there is no second row, as without a picture.
    """
    weights = unprompted + image_cfg_scale - 1, 1 - image_cfg_scale
    return tuple(weight for weight in weights if abs(weight) >= ROUNDING)
