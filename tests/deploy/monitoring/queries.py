"""The queries of dashboards and alerts, and the metrics that they name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml

from tests.deploy.dockerfile import ROOT

DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
# What Grafana puts in place of its own variables.
_VARIABLES = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "1h"}


def dashboard(file: Path) -> dict[str, Any]:
    """A dashboard."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def panel_queries(file: Path) -> list[str]:
    """The queries of a dashboard's panels, as Grafana writes them."""
    return [target["expr"] for panel in dashboard(file)["panels"] for target in panel["targets"]]


def filled(query: str) -> str:
    """A query with values in place of Grafana's variables."""
    for variable, value in _VARIABLES.items():
        query = query.replace(variable, value)
    return re.sub(r"\$\w+", ".*", query)


def rules() -> list[dict[str, Any]]:
    """All rules, alerts and recordings."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """The alerts."""
    return [rule for rule in rules() if "alert" in rule]


def metrics_of(query: str) -> set[str]:
    """The metrics that a query reads.

    Raises:
        ValueError: it is not PromQL.
    """
    return {selector.name for selector in _selectors(promql_parser.parse(query))}


def labels_of(query: str) -> dict[str, set[str]]:
    """The labels by which a query chooses, by metric."""
    found: dict[str, set[str]] = {}
    for selector in _selectors(promql_parser.parse(query)):
        found.setdefault(selector.name, set()).update(each.name for each in selector.matchers.matchers)
    return found


def _selectors(node: Any) -> Iterator[Any]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("expr", "lhs", "rhs", "param", "vector_selector", "args"):
        child = getattr(node, name, None)
        for each in child if isinstance(child, list) else [child]:
            if each is not None and not isinstance(each, str | float | int):
                yield from _selectors(each)
