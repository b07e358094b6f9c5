"""What is compared on the ladder: no guidance, every preset at its published numbers, and settings that gained more."""

from dataclasses import dataclass, field
from typing import Any, Self

from benchmarks.ladder.rungs import Question
from jobs.requests.presets import PRESETS

CANDIDATES = 16
ROBUST = "pocket-m-robust"
FRESH_NOISE = {"sampler": "euler_ancestral"}
CHOOSER = "pocket-s"  # of the best of many; it guides nothing here


@dataclass(frozen=True)
class Setting:
    """One way to make the pictures.

    Attributes:
        guidance: of the request, without its text; None for none.
        fields: other fields of the request.
        of: pictures of which the chooser keeps the best.
        clips: that guide together; none for the model's own.
        apart: whether each thing of a question is an objective of its own.
    """

    guidance: dict[str, Any] | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    of: int = 1
    clips: tuple[str, ...] = ()
    apart: bool = False

    @classmethod
    def of_request(cls, fields: dict[str, Any]) -> Self:
        """The setting of a request's fields."""
        return cls(
            fields.get("guidance"), {name: value for name, value in fields.items() if name != "guidance"}
        )

    def request(self, question: Question) -> dict[str, Any]:
        """The fields of a request, besides the seed."""
        fields: dict[str, Any] = {"prompt": question.prompt, **self.fields}
        if self.guidance is not None:
            fields["guidance"] = {**self.guidance, **self._towards(question)}
        if self.of > 1:
            fields["select"] = {"candidates": self.of, "keep": 1, "scorer": CHOOSER}
        return fields

    def _towards(self, question: Question) -> dict[str, Any]:
        """What guidance pulls towards, where it is not the prompt."""
        texts = [question.guide or question.prompt]
        if self.apart:
            texts = [thing.prompt for thing in question.things]
        if not self.clips and len(texts) == 1:
            return {"prompt": texts[0]}
        clips = [{"clip": clip} for clip in self.clips] or [{}]
        return {"objectives": [{"type": "text", "text": text, **clip} for text in texts for clip in clips]}


SETTINGS: dict[str, Setting] = {
    **{
        name: Setting({"preset": name}) for name, preset in PRESETS.items() if preset.scale and name.islower()
    },
    "fast .4": Setting({"preset": "fast", "scale": 0.4}),
    "fast, each thing apart": Setting({"preset": "fast"}, apart=True),
    "fast, two guides": Setting({"preset": "fast"}, clips=("pocket-m", "pocket-s")),
    "fast, blurred": Setting({"preset": "fast", "blur": 0.1}),
    "mpgd from .6": Setting({"preset": "mpgd", "start": 0.6, "end": 1, "last_step": False}),
    "freedom from .6": Setting({"preset": "freedom", "start": 0.6, "end": 1, "last_step": False}),
    "universal 100 from .6": Setting({"preset": "universal", "scale": 100, "start": 0.6}),
    "fast .4 from 0": Setting({"preset": "fast", "scale": 0.4, "start": 0.0}),
    "crowson 100": Setting({"preset": "crowson", "scale": 100}),
    "universal 30, 2 rounds": Setting(
        {"preset": "universal", "scale": 30, "recurrences": 2, "overview_cuts": "4"}
    ),
    "laion from 0, 3 rounds": Setting(
        {"preset": "laion", "recurrences": 3, "overview_cuts": "8", "last_step": False}
    ),
    "fast by the robust guide": Setting({"preset": "fast", "clip": ROBUST}),
    "broad by the robust guide": Setting({"preset": "broad", "clip": ROBUST}),
    "mpgd_broad by the robust guide": Setting({"preset": "mpgd_broad", "clip": ROBUST}),
    "freedom_broad by the robust guide": Setting({"preset": "freedom_broad", "clip": ROBUST}),
    "universal_broad by the robust guide": Setting({"preset": "universal_broad", "clip": ROBUST}),
    "broad, each thing apart": Setting({"preset": "broad", "clip": ROBUST}, apart=True),
    "best of 16": Setting(of=CANDIDATES),
    "fast, best of 16": Setting({"preset": "fast"}, of=CANDIDATES),
    "fresh noise": Setting(fields=FRESH_NOISE),  # what of the next one is its sampler's alone
    "steered by search": Setting(
        fields={
            **FRESH_NOISE,
            "select": {
                "candidates": CANDIDATES,
                "keep": 1,
                "scorer": CHOOSER,
                "resample": {"at": [0.3, 0.5, 0.7], "strength": 100, "clip": "pocket-m"},
            },
        },
    ),
}
