"""What presets cost and gain on the pocket model."""

from dataclasses import dataclass

from jobs.requests.presets import PresetName


@dataclass(frozen=True)
class Measured:
    """What a preset costs and gains on the pocket model, as ``docs/guidance.md`` tells how it was measured.

    Attributes:
        cost: time of an average step, that of an unguided one being 1.
        gain: of the similarity of picture and prompt, by a CLIP that guides nothing; a mean over 64 prompts.
        error: standard error of that mean.
    """

    cost: float
    gain: float
    error: float


MEASURED: dict[PresetName, Measured] = {
    "FAST_GREEN": Measured(1.2, 0.018, 0.003),
    "FAST_BLUE": Measured(1.3, 0.033, 0.005),
    "fast": Measured(1.3, 0.033, 0.005),
    "mpgd": Measured(1.6, -0.008, 0.011),
    "freedom": Measured(2.5, -0.028, 0.008),
    "SIMPLE": Measured(2.6, 0.032, 0.005),
    "SLOW": Measured(3.8, 0.035, 0.005),
    "diffusers": Measured(3.9, 0.016, 0.003),
    "SLOWER": Measured(5.2, 0.035, 0.005),
    "disco": Measured(5.8, 0.006, 0.001),
    "crowson": Measured(6.3, -0.053, 0.026),
    "SLOWEST": Measured(7.3, 0.036, 0.005),
    "laion": Measured(7.5, 0.026, 0.007),
    "tfg": Measured(9.6, 0.020, 0.004),
    "universal": Measured(25.6, 0.000, 0.005),
}
