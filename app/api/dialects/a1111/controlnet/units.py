"""ControlNets as clients of A1111's extension send them: ``alwayson_scripts.controlnet.args``, a list of units."""

from math import floor
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from app.api.dialects.a1111.controlnet.modules import BY_DEFAULT, map_fields
from app.api.dialects.left_out import LeavesOut
from app.api.dialects.refusals import NotSupportedError
from jobs.errors import InvalidRequestError
from jobs.requests.conditions.controls import MAX_CONTROLS, ControlMode
from jobs.requests.start.init import Fit
from jobs.wire import AtMost
from jobs.wording import wording

TITLE = "controlnet"
FIELD = f"alwayson_scripts.{TITLE}.args"

_MODES: dict[int | str, ControlMode] = {
    0: ControlMode.BALANCED,
    "balanced": ControlMode.BALANCED,
    1: ControlMode.PROMPT,
    "my prompt is more important": ControlMode.PROMPT,
    2: ControlMode.CONTROL,
    "controlnet is more important": ControlMode.CONTROL,
}
_FITS: dict[int | str, Fit] = {
    0: Fit.STRETCH,
    "just resize": Fit.STRETCH,
    "scale to fit (inner fit)": Fit.CROP,
    1: Fit.CROP,
    "crop and resize": Fit.CROP,
    "inner fit (scale to fit)": Fit.CROP,
    2: Fit.PAD,
    "resize and fill": Fit.PAD,
    "outer fit (shrink to fit)": Fit.PAD,
    "envelope (outer fit)": Fit.PAD,
}
_IMAGE_PROMPT = "ip-adapter"  # what the modules of units begin with whose picture is no map
# Fields of a unit that would change the picture, by the values with which they do not.
_UNSERVED: dict[str, tuple[Any, ...]] = {
    "advanced_weighting": (),
    "effective_region_mask": (),
    "hr_option": ("both", 0),
    "mask": (),
    "mask_image": (),
    "union_control_type": ("unknown",),
}


class Unit(LeavesOut):
    """The fields of a unit with a meaning here. Other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    enabled: bool | None = None
    module: str = "none"
    model: str = ""
    weight: float = Field(1.0, ge=0, le=2)
    image: str | dict[str, Any] | None = None
    input_image: str | dict[str, Any] | None = None
    processor_res: int = BY_DEFAULT
    pixel_perfect: bool = False
    threshold_a: float = BY_DEFAULT
    threshold_b: float = BY_DEFAULT
    guidance_start: float = Field(0.0, ge=0, le=1)
    guidance_end: float | None = Field(None, ge=0, le=1)
    guidance: float | None = Field(None, ge=0, le=1)  # a former name of its end
    control_mode: int | str = 0
    resize_mode: int | str = 1
    save_detected_map: bool = True
    # Of a picture with a mask, and what would need it or more than one map.
    advanced_weighting: Any = None
    effective_region_mask: Any = None
    hr_option: Any = None
    mask: Any = None
    mask_image: Any = None
    union_control_type: Any = None
    ipadapter_input: Any = None

    @property
    def picture(self) -> str | None:
        """Its picture, without the mask that some clients send beside it."""
        given = self.image or self.input_image
        return given.get("image") if isinstance(given, dict) else given

    @property
    def is_used(self) -> bool:
        """Whether it asks for anything: clients leave ``enabled`` out of units with a picture."""
        return self.enabled is not False and (self.picture is not None or bool(self.enabled))

    @property
    def is_image_prompt(self) -> bool:
        """Whether the model is told of its picture, which is no map then."""
        return self.module.lower().strip().startswith(_IMAGE_PROMPT)

    @property
    def model_name(self) -> str:
        """Of its model, without the hash that lists show behind it."""
        return self.model.partition(" [")[0].strip()

    def counted(self, field: str, steps: int, picture: str | None) -> dict[str, Any]:
        """The native fields that controls and image prompts have in common.

        Args:
            field: of the unit.
            steps: of the run.
            picture: for a unit without one.

        Raises:
            InvalidRequestError: there is no picture.
            NotSupportedError: it has one as a pickle.
        """
        if self.ipadapter_input is not None:
            raise NotSupportedError(
                "ipadapter_input is a pickle, which can run code", field=f"{field}.ipadapter_input"
            )
        image = self.picture or picture
        if image is None:
            raise InvalidRequestError("the unit has no picture", field=f"{field}.image")
        end = self.guidance_end if self.guidance_end is not None else self.guidance
        return {
            "image": image,
            "weight": self.weight,
            "start": self.guidance_start,
            "end": _end(1.0 if end is None else end, steps),
        }

    @property
    def unserved(self) -> list[str]:
        """Names of its fields that have no effect here, and would have one there."""
        values = {name: getattr(self, name) for name in _UNSERVED}
        return [
            name
            for name, value in values.items()
            if value and (value.lower() if isinstance(value, str) else value) not in _UNSERVED[name]
        ]


class _Units(LeavesOut):
    units: Annotated[tuple[Unit, ...], AtMost(16)] = ()


def controls_of(script: Any, steps: int, picture: str | None = None) -> list[dict[str, Any]]:
    """The native controls that a script's units stand for.

    Args:
        script: of the request; None for none.
        steps: of the run.
        picture: of ``img2img``, for units without one.

    Raises:
        InvalidRequestError: a unit cannot be read or has no picture; or there are too many.
        NotSupportedError: its map would need a network.
    """
    used = map_units(script)
    if len(used) > MAX_CONTROLS:
        raise InvalidRequestError(f"{len(used)} units are on, and {MAX_CONTROLS} may be", field=FIELD)
    return [_control(unit, f"{FIELD}.{number}", steps, picture) for number, unit in used]


def used_units(script: Any) -> list[tuple[int, Unit]]:
    """The units of a script that are on, with their numbers.

    Raises:
        InvalidRequestError: one cannot be read.
    """
    return [(number, unit) for number, unit in enumerate(_units(script)) if unit.is_used]


def map_units(script: Any) -> list[tuple[int, Unit]]:
    """Those of them whose pictures are maps, or become maps; raises as ``used_units``."""
    return [(number, unit) for number, unit in used_units(script) if not unit.is_image_prompt]


def notes_of(scripts: dict[str, Any]) -> tuple[str, ...]:
    """A sentence on each unit with fields that have no effect here."""
    return tuple(
        f"{', '.join(unserved)} of ControlNet unit {number} have no effect here"
        for number, unit in used_units(script_in(scripts))
        if (unserved := unit.unserved)
    )


def script_in(scripts: dict[str, Any]) -> Any:
    """The script among those of a request, whatever the case of its title; None without one."""
    return next((script for title, script in scripts.items() if title.lower() == TITLE), None)


def _units(script: Any) -> tuple[Unit, ...]:
    args = script.get("args") if isinstance(script, dict) else script
    if not args:
        return ()
    units = args if isinstance(args, list) else [args]
    for number, unit in enumerate(units):
        if unit and not isinstance(unit, dict):
            raise InvalidRequestError("a unit is an object of its fields", field=f"{FIELD}.{number}")
    try:
        return _Units.model_validate({"units": [unit or {} for unit in units]}).units
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise InvalidRequestError(wording(first), field=f"{FIELD}.{place}" if place else FIELD) from error


def _control(unit: Unit, field: str, steps: int, picture: str | None) -> dict[str, Any]:
    resolution = BY_DEFAULT if unit.pixel_perfect else unit.processor_res
    return {
        **unit.counted(field, steps, picture),
        "model": unit.model_name,
        "mode": _chosen(_MODES, unit.control_mode, f"{field}.control_mode"),
        "fit": _chosen(_FITS, unit.resize_mode, f"{field}.resize_mode"),
        **map_fields(unit.module, (unit.threshold_a, unit.threshold_b), resolution, f"{field}.module"),
    }


def _end(end: float, steps: int) -> float:
    """The native end, before which a step ends: A1111's is one before which it begins, ``i / n <= end``."""
    return min(1.0, (floor(end * steps) + 1) / steps)


def _chosen(names: dict[int | str, Any], value: int | str, field: str) -> Any:
    found = names.get(value.lower().strip() if isinstance(value, str) else value)
    if found is None:
        known = ", ".join(str(name) for name in names)
        raise InvalidRequestError(f"{value!r} is none of {known}", field=field)
    return found
