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
_UPLOADS, _MAP = "POST /v1/uploads", "POST /v1/controls/detect"
_NIGHTS = "POST /v1/nights"
_REQUESTS = (_JOBS, _IMAGES, "POST /v1/quote", _NIGHTS)  # that hold a request for pictures
_LISTS = ("GET /v1/jobs", "GET /v1/jobs/failures")
_MANY = tuple(f"POST /v1/jobs/{verb}" for verb in ("cancel", "delete", "prioritize", "retry"))
_SEARCH, _FIND = "POST /v1/search", "GET /v1/search"

KNOWN = (
    Known(
        (*_REQUESTS, _SCORES, _MAKE, _IMPORT, _MAP),
        _VALID,
        "is not in the catalog|is outside what model|is not a multiple of|has no aesthetic head|"
        "cfg_embedded of model .* is false|is of the family .*, which (has|is told) no|there is no aesthetic embedding",
        "the catalog and the embeddings, which people may change, say what there is, what it can do, and which sizes "
        "it makes",
    ),
    Known(
        _REQUESTS,
        _VALID,
        "leaves no room for|leave num_images out|give either prompt or|sum to zero|is not before its end|"
        "too few to keep|must not be 0|is of the sampler|does not support schedule|the prompt is empty|"
        "both zero throughout|cutouts are more than|a schedule has at most|adds no noise, so candidates|"
        "lies between .* of the run",
        "rules between fields",
    ),
    Known(
        (_NIGHTS,),
        _VALID,
        "a night takes no|a night adds a label of its own",
        "the request of a night has the schema of every request, and some of its fields have no use there",
    ),
    Known((*_LISTS, *_MANY), _VALID, "is not in the catalog", "the catalog says which models there are"),
    Known(_LISTS, _VALID, "until must be later than since", "a rule between fields"),
    Known(("GET /v1/jobs",), _VALID, "order=turn lists the queued jobs", "a rule between fields"),
    Known(
        _MANY,
        _VALID,
        "give either ids, or a status|until must be later than since|cursor goes with filters",
        "rules between fields",
    ),
    Known((_MAP,), _VALID, "give low up to high", "a rule between fields"),
    Known(
        ("POST /v1/admin/keys", "PUT /v1/admin/tenants/{tenant}"),
        _VALID,
        "burst_units needs units_per_second|give a role or scopes, not both",
        "rules between fields",
    ),
    Known(
        ("GET /v1/jobs/{job_id}/images.zip",),
        "ensure_resource_availability",
        "has no such picture",
        "a job that has ended without a picture is there, and its pictures are not",
    ),
    Known(
        ("POST /v1/admin/keys/{key_id}/rotate",),
        "negative_data_rejection",
        "Invalid component: positive test case",
        "the body may be left out; the generator takes a request without one for a wrong one",
    ),
    Known(
        ("QUERY /v1/models",),
        "unsupported_method",
        "returned 200",
        "a call of Replicate's clients; OpenAPI 3.1 has no word for the method QUERY",
    ),
    Known(
        ("OPTIONS /v1/models",),
        "allow_header_conformance",
        r"advertised: QUERY\s",
        "the same",
    ),
    Known(
        (*(each.replace("POST", "OPTIONS") for each in _MANY), "OPTIONS /v1/jobs/failures"),
        "allow_header_conformance",
        r"advertised: (DELETE|DELETE, GET|GET, DELETE)\s",
        "for all that the paths say, `cancel` is the id of a job, so the path takes the methods of both",
    ),
    Known(
        (*_REQUESTS, "POST /v1/jobs/{job_id}/retry"),
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
        (*_REQUESTS, _SCORES, _MAKE, _SEARCH, _UPLOADS, _MAP),
        _VALID,
        "is no whole picture|is no PNG|is not a PNG|it is not base64",
        "a schema says that there are bytes, not that they are a picture",
    ),
    Known(
        (*_REQUESTS, _MAP),
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
