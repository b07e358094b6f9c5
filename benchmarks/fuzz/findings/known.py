"""Reports of schemathesis that are no faults: rules that a schema cannot express.

Kept as small as it can be. An entry passes over one check of some operations, and only where the failure or the answer
says what its pattern says, so that the same check still finds everything else there.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One exception.

    Attributes:
        operations: method and path of each.
        check: of schemathesis.
        seen: what the failure or the body of the answer has somewhere.
        why: the reason.
    """

    operations: tuple[str, ...]
    check: str
    seen: str
    why: str


_VALID = "positive_data_acceptance"
_JOBS, _IMAGES, _SCORES = "POST /v1/jobs", "POST /v1/images", "POST /v1/scores"
_MAKE, _IMPORT = "POST /v1/aesthetic-embeddings", "POST /v1/aesthetic-embeddings/import"
_UPLOADS = "POST /v1/uploads"
_SEARCH, _FIND = "POST /v1/search", "GET /v1/search"

KNOWN = (
    Known(
        (_JOBS, _IMAGES, _SCORES, _MAKE, _IMPORT),
        _VALID,
        "is not in the catalog|is outside what model|is not a multiple of|has no aesthetic head",
        "the catalog, which an operator may change, says what there is and which sizes it makes",
    ),
    Known(
        (_JOBS, _IMAGES),
        _VALID,
        "leaves no room for|leave num_images out|give either prompt or|sum to zero|is not before its end|"
        "too few to keep|must not be 0|is of the sampler|does not support schedule|the prompt is empty|"
        "both zero throughout|cutouts are more than|a schedule has at most",
        "rules between fields",
    ),
    Known(
        (_JOBS, _IMAGES),
        _VALID,
        "idempotency key was used",
        "the generator sends one key with many bodies",
    ),
    Known(
        (_IMAGES,),
        _VALID,
        "came in the query and in the body",
        "a field may come either way; the generator sends it both ways",
    ),
    Known(
        (_IMAGES,),
        _VALID,
        "Field required",
        "a field may be needed for the sake of another one, or in the query",
    ),
    Known(
        (_IMAGES,),
        "not_a_server_error",
        "deadline_exceeded",
        "the job ran longer than the caller's own timeout_s, which may be next to nothing",
    ),
    Known(
        ("OPTIONS /v1/aesthetic-embeddings/import",),
        "allow_header_conformance",
        "DELETE, GET|GET, DELETE",
        "an embedding may be called `import`, so the path takes the methods of both",
    ),
    Known(
        (_IMAGES,),
        "negative_data_rejection",
        "violates `required` at /properties/prompt",
        "a body without the prompt is no good alone, but the query may hold the prompt",
    ),
    Known(
        (_JOBS, _IMAGES, _SCORES, _MAKE, _SEARCH, _UPLOADS),
        _VALID,
        "is no whole picture|is no PNG|is not a PNG|it is not base64",
        "a schema says that there are bytes, not that they are a picture",
    ),
    Known(
        (_JOBS, _IMAGES),
        _VALID,
        "have no such upload|not fetched from other servers",
        "a picture may be named by an id, and by an address if the operator allows it",
    ),
    Known((_IMPORT,), _VALID, "file's name must end in", "no schema says how a file is called"),
    Known(
        (_SCORES,), _VALID, "give 1 to 64 pictures", "files or references, of which a schema asks for neither"
    ),
    Known((_MAKE,), _VALID, "give pictures, or the ids", "the same"),
    Known((_SEARCH,), _VALID, "give either a picture or", "the same"),
    Known((_SEARCH, _FIND), _VALID, "needs an aesthetic_score", "a rule between fields"),
)


def is_known(operation: str, check: str, seen: str) -> bool:
    """Whether a failed check is one of the exceptions."""
    return any(
        operation in known.operations and check == known.check and re.search(known.seen, seen)
        for known in KNOWN
    )
