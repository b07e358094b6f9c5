"""Failures of the artifact store, as clients are told of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import ArtifactsUnavailableError


@contextmanager
def reaching_the_store() -> Iterator[None]:
    """Turn the loss of the artifact store, or its refusal, into ``ArtifactsUnavailableError``."""
    try:
        yield
    except OSError as error:
        raise ArtifactsUnavailableError("the artifact store cannot be reached, or refuses") from error
