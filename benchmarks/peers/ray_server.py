"""The pocket pipeline behind Ray Serve: ``python -m benchmarks.peers.ray_server PORT``."""

import asyncio
import os
import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from benchmarks.peers.pipeline import MAX_BATCH, Pipeline


@serve.deployment(max_ongoing_requests=10_000)
class Pocket:
    """Whole requests, in batches."""

    def __init__(self) -> None:
        self.pipeline = Pipeline()

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=0.05)
    async def draw(self, requests: list[dict[str, Any]]) -> list[str]:
        # On a thread, so that the next batch can gather meanwhile.
        return await asyncio.to_thread(self.pipeline, requests)

    async def __call__(self, request: Request) -> dict[str, str]:
        return {"png": await self.draw(await request.json())}


if __name__ == "__main__":
    # Its own limits for the start are seconds, which a small machine may exceed.
    os.environ.setdefault("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "120")
    os.environ.setdefault("RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S", "120")
    ray.init(num_cpus=2, include_dashboard=False)  # its processes inherit the environment
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Pocket.bind(), route_prefix="/predict")
    while True:
        time.sleep(3600)
