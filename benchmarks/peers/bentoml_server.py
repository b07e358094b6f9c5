"""The pocket pipeline behind BentoML: ``python -m bentoml serve benchmarks.peers.bentoml_server:Pocket``."""

from typing import Any

import bentoml

from benchmarks.peers.pipeline import MAX_BATCH, Pipeline

FOR_EVER_S = 24 * 3600


@bentoml.service(workers=1, traffic={"timeout": FOR_EVER_S})
class Pocket:
    """Whole requests, in batches whose size and wait adapt to the load."""

    def __init__(self) -> None:
        self.pipeline = Pipeline()

    @bentoml.api(route="/predict", batchable=True, max_batch_size=MAX_BATCH, max_latency_ms=FOR_EVER_S * 1000)
    def predict(self, requests: list[dict[str, Any]]) -> list[str]:
        return self.pipeline(requests)
