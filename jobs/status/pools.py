"""The pools of workers as operators plan them."""

import re

from jobs.status.workers import DEFAULT_POOL
from jobs.wire import Wire

ALL = "*"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


class PoolPlan(Wire):
    """A pool as the operator has planned it; without models it takes the jobs of all."""

    name: str
    models: tuple[str, ...] = ()


EVERYTHING = (PoolPlan(name=DEFAULT_POOL),)


def require_pool_name(name: str) -> str:
    """The name, if a pool may have it.

    Raises:
        ValueError: it may not.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a pool: up to 40 of a-z, 0-9 and -, no - at an end")
    return name


def parse_pools(text: str) -> tuple[PoolPlan, ...]:
    """The pools of a setting such as ``l4=sd15,sd15-inpaint;h100=*``.

    Raises:
        ValueError: it has another form, or names a pool twice.
    """
    pools = tuple(_parse_pool(part.strip()) for part in text.split(";") if part.strip())
    names = [pool.name for pool in pools]
    if len(set(names)) < len(names):
        raise ValueError("each pool is named once")
    return pools or EVERYTHING


def _parse_pool(part: str) -> PoolPlan:
    name, equals, models = (piece.strip() for piece in part.partition("="))
    named = tuple(model.strip() for model in models.split(","))
    if not equals or not all(named) or (ALL in named and len(named) > 1):
        raise ValueError(f"{part!r} is not of the form name=model,model or name={ALL}")
    return PoolPlan(name=require_pool_name(name), models=() if named == (ALL,) else named)
