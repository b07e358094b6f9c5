"""Schemas of the objects that operators bring to a cluster, as far as the chart uses them.

Their own schemas are a megabyte of YAML. These follow KEDA's (2.17 and newer) and Prometheus' operator's, and
allow nothing else, so that a misspelt field is found.
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string", "minLength": 1}
NUMBER_TEXT: Schema = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
DURATION: Schema = {"type": "string", "pattern": r"^\d+s$"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def an_object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object of these members and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def a_list(items: Schema) -> Schema:
    return {"type": "array", "minItems": 1, "items": items}


_BEHAVIOR = an_object(
    {"stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3600}},
    {
        "policies": a_list(
            an_object(
                {
                    "type": {"enum": ["Pods", "Percent"]},
                    "value": {"type": "integer", "minimum": 1},
                    "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800},
                }
            )
        )
    },
)
_TRIGGER = {
    "oneOf": [
        an_object(
            {
                "type": {"const": "prometheus"},
                "metadata": an_object(
                    {"serverAddress": TEXT, "query": TEXT, "threshold": NUMBER_TEXT},
                    {"activationThreshold": NUMBER_TEXT, "ignoreNullValues": {"enum": ["true", "false"]}},
                ),
            },
            {"metricType": {"enum": ["AverageValue", "Value"]}},
        ),
        an_object(
            {
                "type": {"const": "metrics-api"},
                "metadata": an_object(
                    {"url": TEXT, "valueLocation": TEXT, "targetValue": NUMBER_TEXT},
                    {"activationTargetValue": NUMBER_TEXT, "authMode": {"const": "bearer"}},
                ),
            },
            {
                "metricType": {"enum": ["AverageValue", "Value"]},
                "authenticationRef": an_object({"name": TEXT}),
            },
        ),
    ]
}
_ENDPOINT = an_object(
    {"port": TEXT, "path": TEXT, "interval": DURATION},
    {"authorization": an_object({"credentials": an_object({"name": TEXT, "key": TEXT})})},
)
_SELECTOR = an_object({"matchLabels": LABELS})
_RULE = {
    "oneOf": [
        an_object({"record": TEXT, "expr": TEXT}),
        an_object(
            {"alert": TEXT, "expr": TEXT, "labels": LABELS, "annotations": LABELS},
            {"for": {"type": "string", "pattern": r"^\d+m$"}},
        ),
    ]
}
SPECS: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): an_object(
        {
            "scaleTargetRef": an_object({"name": TEXT}),
            "minReplicaCount": COUNT,
            "maxReplicaCount": COUNT,
            "pollingInterval": COUNT,
            "cooldownPeriod": COUNT,
            "triggers": a_list(_TRIGGER),
            "fallback": an_object(
                {"failureThreshold": COUNT, "replicas": COUNT},
                {"behavior": {"enum": ["static", "currentReplicas", "currentReplicasIfHigher"]}},
            ),
            "advanced": an_object(
                {
                    "horizontalPodAutoscalerConfig": an_object(
                        {"behavior": an_object({"scaleUp": _BEHAVIOR, "scaleDown": _BEHAVIOR})}
                    )
                }
            ),
        }
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): an_object(
        {"secretTargetRef": a_list(an_object({"parameter": TEXT, "name": TEXT, "key": TEXT}))}
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): an_object(
        {"selector": _SELECTOR, "endpoints": a_list(_ENDPOINT)}
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): an_object(
        {"selector": _SELECTOR, "podMetricsEndpoints": a_list(_ENDPOINT)}
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): an_object(
        {"groups": a_list(an_object({"name": TEXT, "rules": a_list(_RULE)}))}
    ),
}
