"""Draw the map of the code: ``python -m docs.make_map`` writes the rooms and their imports into ``CONTRIBUTING.md``.

``python -m docs.make_map --check`` writes nothing, and fails if page and code differ.
"""

import argparse
import sys
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
BEGIN, END = "<!-- map: python -m docs.make_map -->", "<!-- end of the map -->"
WIDTH = 18

# The content of each room. A package without a line here fails the check.
ROOMS = {
    "app": "the HTTP side; never imports torch",
    "app.api": "the HTTP server: composition, services, settings",
    "app.api.webhooks": "sends signed messages to callers' addresses",
    "app.api.dialects": "the routes of other services: shared parts",
    "app.api.dialects.a1111": "Stable Diffusion web UI",
    "app.api.dialects.a1111.controlnet": "its extension for ControlNets",
    "app.api.dialects.a1111.extras": "its calls that work on finished pictures",
    "app.api.dialects.openai": "OpenAI's images API",
    "app.api.dialects.replicate": "Replicate's predictions",
    "app.api.pages": "the dashboard and the reference, as files",
    "app.api.routes": "our own routes: parse, call, return",
    "app.api.routes.links": "addresses of pictures that need no key",
    "app.api.routes.nights": "candidates until a time is over",
    "app.api.routes.accounts": "what jobs cost: quotes before, usage after",
    "app.api.routes.admin": "keys and tenants, the audit, and what the service knows of the sender",
    "app.api.routes.fleet": "the pools of workers, for autoscalers",
    "app.api.routes.controls": "maps for ControlNets, before a job and after it",
    "app.api.routes.bulk": "calls for many jobs at once",
    "app.api.intake": "from bytes to a submitted job: bodies, forms, fields, submission",
    "app.api.following": "from a job to its caller: waiting, outcome, event stream",
    "app.api.server": "sockets, connections, the layers that every request passes",
    "app.api.access": "admission: hosts, sites, callers, body limits",
    "app.api.access.keys": "who makes a request, and whether it may: keys, scopes, sessions",
    "app.api.problems": "errors as problem documents; the only room that knows HTTP codes",
    "app.api.pictures": "pictures in and out: uploads, decoding, formats",
    "app.api.search": "the index of the kept pictures: snapshots, what came since, the search of both",
    "app.api.operation": "metrics, logs, sweeping, wake-ups",
    "app.cli": "the service's half of the command line: entry point, demo, downloads",
    "app.cli.commands": "one module for each group of commands",
    "app.stack": "the processes of one machine: start, supervise, stop",
    "lodestar": "the Python client, a distribution of its own; never imports what moves jobs",
    "lodestar.resources": "jobs and embeddings, for the client that blocks and the one that awaits",
    "lodestar.http": "calls, retries, streams: written once, as generators of steps",
    "lodestar.cli": "the client's half of the command line: options, output, benchmark",
    "lodestar.cli.commands": "one module for each group of commands",
    "worker": "the GPU side; never imports a web framework",
    "worker.serving": "executions: claim, pin, publish, settle; the only room that knows the queue",
    "worker.serving.handover": "states of unfinished jobs, left for other workers and taken from them",
    "worker.telemetry": "what a worker tells of itself: probes, metrics, traces",
    "worker.engine": "step-level batching: fair order, batches, memory",
    "worker.engine.doors": "jobs on their way into the running loop and out of it: admission, hand-over",
    "worker.sampling": "one picture's algorithm, as a generator of model calls",
    "worker.sampling.conditions": "what each row of a run is told: texts, adapters, maps, pictures",
    "worker.sampling.resampling": "a picture as one of several particles, which are weighed and drawn anew",
    "worker.sampling.schedules": "where a run's noise levels lie: published formulas and tables",
    "worker.sampling.solvers": "one class for each solver, in the symbols of its paper",
    "worker.sampling.sources": "where a run starts: noise, pictures, what a mask keeps",
    "worker.states": "the state of an unfinished picture: what it holds, its file, where it fits",
    "worker.models": "networks in memory: diffusion, CLIP, registry, devices",
    "worker.models.adding": "models for the catalog: found, checked, fetched",
    "worker.models.adapters": "low-rank changes of networks: merged once, or of each row of a batch by itself",
    "worker.models.controls": "ControlNets, and the rows of a batch that read their maps",
    "worker.models.image_prompts": "IP-Adapters, and the rows of a batch whose attentions read their pictures",
    "worker.models.families": "one module for each family of checkpoints: its networks, its denoiser",
    "worker.models.conversion": "published checkpoints of another layout, by the names of diffusers",
    "worker.models.networks": "a denoiser's network as its device runs it fastest: traces, graphs, attention",
    "worker.models.inversions": "textual inversions: words of prompts, and the vectors that stand behind them",
    "worker.models.loading": "from files to networks: layouts, weights, checks",
    "worker.pictures": "pixels in and out: reading, PNG, upscaling",
    "worker.aesthetics": "aesthetic embeddings, gradients and predictors",
    "worker.guidance": "pure maths: cutouts, losses, gradients",
    "jobs": "the contract of both sides; imports neither torch nor a web framework",
    "jobs.prompts": "the syntaxes of prompts: emphasis, changes, rows",
    "jobs.queue": "the durable queue: submit, lease, reap, order, retain",
    "jobs.queue.listing": "lists of jobs: which ones, and how far a look goes",
    "jobs.nights": "the best of all that is drawn until a time is over: records, rules, the tender",
    "jobs.queue.fleet": "pools of workers, and the numbers that operators watch",
    "jobs.events": "events and webhooks for followers",
    "jobs.resolve": "from a request to one with every default, or to its error",
    "jobs.resolve.conditions": "its conditions besides texts: adapters, controls, pictures, sizes, refiners",
    "jobs.status": "jobs, models and workers as callers see them",
    "jobs.callers": "keys of callers: their form, scopes, storage, sessions",
    "jobs.catalog": "models.toml",
    "jobs.storage": "the artifact store and its files",
    "jobs.pictures": "the one reader of callers' pictures; what files say of a picture's making",
    "jobs.pictures.maps": "makes the maps that ControlNets read, without weights: edges, lines, tiles",
    "jobs.requests": "the request models: data alone",
    "jobs.requests.conditions": "what a request gives the denoiser besides texts: adapters, maps, pictures",
    "jobs.requests.delivery": "how a caller learns of a job's end: webhooks",
    "jobs.requests.start": "where a run starts: pictures, masks, seeds; its plan",
    "jobs.db": "the connection to Redis and its scripts",
}


Arrows = dict[str, set[str]]


def rooms(graph: grimp.ImportGraph) -> Arrows:
    """Every package, with the packages that its own modules import."""
    packages = {module for module in graph.modules if graph.find_children(module)}
    arrows: Arrows = {package: set() for package in packages}
    for module in graph.modules:
        room = _room(module, packages)
        others = {_room(other, packages) for other in graph.find_modules_directly_imported_by(module)}
        arrows[room] |= {other for other in others if not _is_kin(room, other)}
    return arrows


def _room(module: str, packages: set[str]) -> str:
    return module if module in packages else module.rpartition(".")[0]


def _is_kin(room: str, other: str) -> bool:
    """Whether one lies in the other: a room uses the modules of the house around it, and a house its rooms."""
    return f"{room}.".startswith(f"{other}.") or f"{other}.".startswith(f"{room}.")


def shown(room: str, arrows: Arrows) -> set[str]:
    """The imports of a room that no other import of it implies, without the modules at the roots."""
    implied = {far for near in arrows[room] for far in _reached(near, arrows, {room})}
    return {other for other in arrows[room] - implied if "." in other}


def _reached(room: str, arrows: Arrows, seen: set[str]) -> set[str]:
    new = arrows[room] - seen
    return new.union(*(_reached(other, arrows, seen | new) for other in new)) if new else new


def lines(arrows: Arrows) -> list[str]:
    """The map as text: the tree, with each room's content and imports."""
    drawn = []
    for room, purpose in ROOMS.items():
        *parents, name = room.split(".")
        root = f"{room.partition('.')[0]}."
        imports = ", ".join(sorted(other.removeprefix(root) for other in shown(room, arrows)))
        arrow = f"  -> {imports}" if imports else ""
        drawn.append(f"{'  ' * len(parents) + name + '/':{WIDTH}}{purpose}{arrow}")
    return drawn


def page_with(text: str, drawn: list[str]) -> str:
    """The page with the map between its marks.

    Raises:
        ValueError: the page has no marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name} lacks the marks of the map")
    body = "\n".join(drawn)
    return f"{before}{BEGIN}\n```text\n{body}\n```\n{END}{after}"


def main() -> None:
    """Write the map, or check it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the page is not up to date")
    options = parser.parse_args()
    arrows = rooms(grimp.build_graph("app", "jobs", "lodestar", "worker", cache_dir=None))
    if wrong := set(arrows) ^ set(ROOMS):
        sys.exit(f"ROOMS in docs/make_map.py and the packages differ: {', '.join(sorted(wrong))}")
    text = PAGE.read_text(encoding="utf-8")
    wanted = page_with(text, lines(arrows))
    if options.check and wanted != text:
        sys.exit("the map in CONTRIBUTING.md is out of date; run: python -m docs.make_map")
    PAGE.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
