"""The scripts of the earlier version, which run beside this one's during an upgrade."""

import random
from pathlib import Path
from typing import Any

from redis import Redis
from redis.client import Pipeline

from jobs.db.scripts import PREFIX, SHARED, Argument, Scripts

LUA = Path(__file__).parents[1] / "db" / "earlier" / "lua"


class AlternatingScripts(Scripts):
    """Each step is run by the script of the earlier version or by this one's, as it comes."""

    def __init__(self, redis: Redis, chance: random.Random) -> None:
        super().__init__(redis)
        prelude = "".join((LUA / name).read_text() for name in SHARED)
        self._earlier = {
            file.stem: redis.register_script(prelude + file.read_text())
            for file in LUA.glob("*.lua")
            if file.name not in SHARED
        }
        self._chance = chance
        self.run = {"earlier": 0, "this": 0}

    def __call__(self, name: str, *arguments: Argument) -> Any:
        is_known = name in self._earlier or name == "renew_many"
        is_earlier = is_known and self._chance.random() < 0.5
        self.run["earlier" if is_earlier else "this"] += 1
        if not is_earlier:
            return super().__call__(name, *arguments)
        if name == "submit":
            # Without its kind, its preset and its trace, and its ticket, which the earlier version wrote afterwards.
            arguments = (*arguments[:22], *arguments[26 + int(arguments[25]) :])
        served = 5 + int(arguments[4]) if name == "claim" else 0
        if 0 < served < len(arguments):  # without the models that the worker serves alone
            arguments = (*arguments[:served], *arguments[served + 1 + int(arguments[served]) :])
        if name != "renew_many":
            return self._earlier[name](args=[PREFIX, *arguments])
        lease, *rest = arguments
        return [self._renew(lease, rest[start : start + 5]) for start in range(0, len(rest), 5)]

    def queue(self, pipeline: Pipeline, name: str, *arguments: Argument) -> None:
        super().queue(pipeline, name, *arguments)

    def _renew(self, lease: Argument, job: list[Argument]) -> Any:
        """As the earlier version renewed one lease."""
        job_id, fence, step, steps, eta_s = job
        known = ["step", step, "steps", steps] if step != "" else []
        known += ["eta_s", eta_s] if eta_s != "" else []
        return self._earlier["renew"](args=[PREFIX, job_id, fence, lease, *known])
