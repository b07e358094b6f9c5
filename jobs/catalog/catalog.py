"""The model catalog: the entries of ``models.toml``. It loads no weights."""

from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError, model_validator

from jobs.catalog.adapters import AdapterCard
from jobs.catalog.controls import ControlCard
from jobs.catalog.entry import MadeForModels, Named
from jobs.catalog.image_prompts import ImagePromptCard
from jobs.catalog.models import ClipCard, ModelCard
from jobs.catalog.tables import entry_name, read_tables
from jobs.catalog.textual_inversions import TextualInversionCard
from jobs.errors import ConfigurationError, UnknownModelError
from jobs.wire import Wire
from jobs.wording import wording

_Card = TypeVar("_Card", bound=Named)


class Catalog(Wire):
    """The models and CLIPs of this installation, in the order of the file."""

    models: tuple[ModelCard, ...] = Field(min_length=1)
    clips: tuple[ClipCard, ...] = Field(min_length=1)
    adapters: tuple[AdapterCard, ...] = ()
    controls: tuple[ControlCard, ...] = ()
    image_prompts: tuple[ImagePromptCard, ...] = ()
    textual_inversions: tuple[TextualInversionCard, ...] = ()

    @model_validator(mode="after")
    def _knows_its_clips(self) -> "Catalog":
        known = {clip.id for clip in self.clips}
        for model in self.models:
            for clip in (model.clip, model.text_clip):
                if clip is not None and clip not in known:
                    raise ValueError(
                        f"model {model.id!r} names the CLIP {clip!r}, which [clips] does not hold"
                    )
        for card in self.image_prompts:
            if card.clip is not None and card.clip not in known:
                raise ValueError(
                    f"image prompt adapter {card.id!r} names the CLIP {card.clip!r}, which [clips] does not hold"
                )
        return self

    @model_validator(mode="after")
    def _knows_the_bases(self) -> "Catalog":
        known = {name for model in self.models for name in model.names}
        kinds: dict[str, tuple[MadeForModels, ...]] = {
            "adapter": self.adapters,
            "control": self.controls,
            "image prompt adapter": self.image_prompts,
            "textual inversion": self.textual_inversions,
        }
        for kind, cards in kinds.items():
            for card in cards:
                if strange := [name for name in card.base if name not in known]:
                    raise ValueError(
                        f"{kind} {card.id!r} is made for the model {strange[0]!r}, which [models] does not hold"
                    )
        return self

    @model_validator(mode="after")
    def _has_each_name_once(self) -> "Catalog":
        known: dict[str, str] = {}
        for model in self.models:
            for name in model.names:
                if name in known:
                    raise ValueError(f"models {known[name]!r} and {model.id!r} both have the name {name!r}")
                known[name] = model.id
        return self

    @model_validator(mode="after")
    def _has_each_word_once(self) -> "Catalog":
        for model in self.models:
            known: dict[str, str] = {}
            for card in self.textual_inversions_of(model):
                other = known.setdefault(card.word.lower(), card.id)
                if other != card.id:
                    raise ValueError(
                        f"textual inversions {other!r} and {card.id!r} of model {model.id!r} both have the word "
                        f"{card.word!r}"
                    )
        return self

    @property
    def aesthetic_scorer(self) -> ClipCard:
        """The CLIP that embeds and scores every picture: the first with an aesthetic head, else the first."""
        return next((clip for clip in self.clips if clip.head is not None), self.clips[0])

    def model(self, model_id: str | None) -> ModelCard:
        """The card of a model by its id or an alias; the first of the catalog for None.

        Raises:
            UnknownModelError: no model has this name.
        """
        if model_id is None:
            return self.models[0]
        named = next((card for card in self.models if model_id in card.aliases), None)
        return named or _find(self.models, model_id, field="model")

    def clip(self, clip_id: str, field: str = "guidance.clip") -> ClipCard:
        """The card of a CLIP.

        Args:
            clip_id: of it.
            field: of the request that names it.

        Raises:
            UnknownModelError: no CLIP has this id.
        """
        return _find(self.clips, clip_id, field=field)

    def adapter(self, adapter_id: str) -> AdapterCard:
        """The card of an adapter.

        Raises:
            UnknownModelError: no adapter has this id.
        """
        return _find(self.adapters, adapter_id, field="adapters")

    def control(self, control_id: str) -> ControlCard:
        """The card of a ControlNet.

        Raises:
            UnknownModelError: none has this id.
        """
        return _find(self.controls, control_id, field="controls")

    def image_prompt(self, adapter_id: str) -> ImagePromptCard:
        """The card of an image prompt adapter.

        Raises:
            UnknownModelError: none has this id.
        """
        return _find(self.image_prompts, adapter_id, field="image_prompts")

    def image_prompts_of(self, card: ModelCard) -> tuple[ImagePromptCard, ...]:
        """The image prompt adapters that are made for a model, or for any."""
        return tuple(each for each in self.image_prompts if each.fits(card.names))

    def controls_of(self, card: ModelCard) -> tuple[ControlCard, ...]:
        """The ControlNets that are made for a model, or for any."""
        return tuple(each for each in self.controls if each.fits(card.names))

    def textual_inversions_of(self, card: ModelCard) -> tuple[TextualInversionCard, ...]:
        """The textual inversions that are made for a model, or for any."""
        return tuple(each for each in self.textual_inversions if each.fits(card.names))

    def adapters_of(self, card: ModelCard) -> tuple[AdapterCard, ...]:
        """The adapters that are made for a model, or for any."""
        return tuple(each for each in self.adapters if each.fits(card.names))


def _find(cards: tuple[_Card, ...], wanted: str, *, field: str) -> _Card:
    for card in cards:
        if card.id == wanted:
            return card
    known = ", ".join(card.id for card in cards) or "none"
    raise UnknownModelError(f"{wanted!r} is not in the catalog; it holds: {known}", field=field)


def load_catalog(file: Path, text: str | None = None) -> Catalog:
    """Read ``models.toml``; relative paths in it are relative to its folder.

    Args:
        file: to be read.
        text: what it would hold, instead of what it holds.

    Raises:
        ConfigurationError: the file is missing or wrong; the message names the entry.
    """
    tables = read_tables(file, text)
    try:
        return Catalog.model_validate(tables)
    except ValidationError as error:
        first = error.errors()[0]
        what = entry_name(first["loc"], tables) + wording(first)
        raise ConfigurationError(f"the model catalog {file} is wrong: {what}") from error
