"""CLIP guidance as one of A1111's always-on scripts."""

from typing import Any

from app.api.dialects.a1111.controlnet import units
from jobs.errors import InvalidRequestError
from jobs.requests.guidance import Guidance

TITLE = "CLIP guidance"
FIELD = f"alwayson_scripts.{TITLE}.args"
# The first argument switches the script on; the others are fields of Guidance, whose places never change.
_PLACED = ("enabled", "preset", "clip", "prompt", "scale", "cutouts")
ARGUMENTS = (*_PLACED, *(name for name in Guidance.model_fields if name not in _PLACED))


def guidance_of(scripts: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of guidance that ``alwayson_scripts`` ask for; None for none.

    ``args`` are the arguments in their order, or one object of named ones. A missing, null or empty argument has its
    default.

    Raises:
        InvalidRequestError: a script is unknown, or its arguments cannot be read.
    """
    ours = None
    for title, script in scripts.items():
        if title.lower() == TITLE.lower():
            ours = _named(script)
        elif title.lower() != units.TITLE and not _asks_for_nothing(script):
            raise InvalidRequestError(
                f"there is no script {title!r}; there are: {TITLE}, {units.TITLE}",
                field=f"alwayson_scripts.{title}",
            )
    return ours if ours is not None and ours.pop("enabled", True) else None


def _asks_for_nothing(script: Any) -> bool:
    """Whether a script is switched off, as clients send those of extensions that are not in use."""
    args = script.get("args") if isinstance(script, dict) else script
    units = args if isinstance(args, list) else [args]
    return all(not unit or (isinstance(unit, dict) and unit.get("enabled") is False) for unit in units)


def _named(script: Any) -> dict[str, Any]:
    args = script.get("args") if isinstance(script, dict) else None
    if isinstance(args, list) and len(args) == 1 and isinstance(args[0], dict):
        args = args[0]
    if isinstance(args, list) and len(args) <= len(ARGUMENTS):
        args = dict(zip(ARGUMENTS, args, strict=False))
    if not isinstance(args, dict):
        raise InvalidRequestError(
            f"args must be a list of up to {len(ARGUMENTS)} values ({', '.join(ARGUMENTS)}) or one object of them",
            field=FIELD,
        )
    return {name: value for name, value in args.items() if value not in (None, "")}
