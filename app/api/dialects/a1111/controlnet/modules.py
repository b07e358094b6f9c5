"""The preprocessors of A1111's extension, which calls them modules, and their thresholds."""

from typing import Any

from app.api.dialects.refusals import NotSupportedError
from jobs.requests.conditions.maps import MAX_DOWNSAMPLE, MAX_GRADIENT, MAX_LEVEL, MAX_MAP_PX, Preprocessor

BY_DEFAULT = -1  # of thresholds and resolutions
_LEAST_RESOLUTION = 16

# By the extension's present names, its former ones, and those of its pages. The words in brackets are a part of one.
MODULES = {
    "none": Preprocessor.NONE,
    "canny": Preprocessor.CANNY,
    "invert": Preprocessor.INVERT,
    "invert (from white bg & black line)": Preprocessor.INVERT,
    "lineart_standard": Preprocessor.LINEART,
    "lineart_standard (from white bg & black line)": Preprocessor.LINEART,
    "scribble": Preprocessor.SCRIBBLE,
    "scribble_thr": Preprocessor.SCRIBBLE,
    "scribble_xdog": Preprocessor.XDOG,
    "shuffle": Preprocessor.SHUFFLE,
    "tile": Preprocessor.TILE,
    "tile_resample": Preprocessor.TILE,
}


def map_fields(module: str, thresholds: tuple[float, float], resolution: int, field: str) -> dict[str, Any]:
    """The native fields of how a map is made. Thresholds beyond the native limits count as these.

    Args:
        module: its name.
        thresholds: the extension's two; negative ones are the module's own.
        resolution: of the shorter side at which the picture is looked at, likewise.
        field: of the request, for the error.

    Raises:
        NotSupportedError: it needs a network of its own, or does not exist.
    """
    preprocess = MODULES.get(module.lower().strip())
    if preprocess is None:
        raise NotSupportedError(
            f"module {module[:50]!r} needs a network of its own; send its map with module none. "
            f"There are: {', '.join(MODULES)}",
            field=field,
        )
    fields = {"preprocess": preprocess, **_thresholds(preprocess, *thresholds)}
    if resolution > 0:
        fields["resolution"] = min(MAX_MAP_PX, max(_LEAST_RESOLUTION, resolution))
    return fields


def _thresholds(preprocess: Preprocessor, first: float, second: float) -> dict[str, Any]:
    match preprocess:
        case Preprocessor.CANNY:
            # OpenCV takes the two in either order.
            low, high = sorted((100.0 if first < 0 else first, 200.0 if second < 0 else second))
            return {"low": min(low, MAX_GRADIENT), "high": min(high, MAX_GRADIENT)}
        case Preprocessor.XDOG:
            return {} if first < 0 else {"threshold": min(first, MAX_LEVEL)}
        case Preprocessor.TILE:
            return {"downsample": min(MAX_DOWNSAMPLE, max(1.0, first))}
        case _:
            return {}
