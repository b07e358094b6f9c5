"""FAISS and NumPy, which only an API that searches needs."""

from typing import Any

from jobs import extras
from jobs.errors import MissingExtraError


def libraries() -> tuple[Any, Any]:
    """The modules.

    Raises:
        MissingExtraError: the extra ``search`` is not installed.
    """
    try:
        import faiss
        import numpy as np
    except ImportError as error:
        raise MissingExtraError(extras.missing("search", "search")) from error
    return faiss, np
