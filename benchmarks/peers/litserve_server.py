"""The pocket pipeline behind LitServe: ``python -m benchmarks.peers.litserve_server PORT``."""

import sys
from typing import Any

import litserve

from benchmarks.peers.pipeline import MAX_BATCH, Pipeline


class Pocket(litserve.LitAPI):  # type: ignore[misc, unused-ignore]
    """Whole requests, in batches."""

    def setup(self, device: str) -> None:
        del device
        self.pipeline = Pipeline()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return inputs

    def predict(self, x: list[dict[str, Any]]) -> list[str]:
        return self.pipeline(x)

    def unbatch(self, output: list[str]) -> list[str]:
        return output

    def encode_response(self, output: str) -> dict[str, str]:
        return {"png": output}


if __name__ == "__main__":
    api = Pocket(max_batch_size=MAX_BATCH, batch_timeout=0.05)
    litserve.LitServer(api, accelerator="cpu", timeout=False).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False
    )
