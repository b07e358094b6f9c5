"""Stores of every kind: a local folder, and S3 as moto's server speaks it over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from jobs.storage.artifacts import ArtifactStore


@pytest.fixture(scope="package")
def s3() -> Iterator[str]:
    """URL of a bucket, with its address and credentials in the environment as for AWS."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().makedirs("pictures", exist_ok=True)  # what moto holds outlives its server
        yield "s3://pictures"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store."""
    if request.param == "folder":
        return str(tmp_path / "artifacts")
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def store(url: str) -> ArtifactStore:
    """An empty store."""
    return ArtifactStore(url)
