"""Every kind of error of the API: its stable name, its HTTP code, and its meaning."""

from app.api.problems.admission_kinds import ADMISSION
from app.api.problems.kind import TIMED_OUT, TOO_LARGE, Kind

KINDS = {
    kind.name: kind
    for kind in (
        Kind(
            "invalid_request",
            422,
            "Invalid request",
            "A field is unknown or has a value that cannot be served.",
        ),
        Kind(
            "unknown_model",
            422,
            "Unknown model",
            "The catalog, listed at /v1/models, has no such model or CLIP.",
        ),
        Kind(
            "unknown_embedding",
            404,
            "Unknown embedding",
            "No aesthetic embedding has this name; /v1/aesthetic-embeddings lists them.",
        ),
        Kind(
            "name_taken",
            409,
            "Name taken",
            "There is an aesthetic embedding of this name. Delete it first, or choose another name.",
        ),
        Kind(
            "clip_mismatch",
            422,
            "CLIP mismatch",
            "An embedding can only be used with the CLIP that made it.",
        ),
        Kind(
            "no_image_tower",
            422,
            "No image tower",
            "The catalog names no CLIP that the model's text encoder belongs to, which personalization needs.",
        ),
        Kind(
            "invalid_file",
            422,
            "Invalid file",
            "A file or picture is damaged, too large, of a format that is not read, or not kept any more.",
        ),
        Kind(
            "missing_extra",
            501,
            "Missing extra",
            "The server was installed without a part that this needs; the detail says what to install.",
        ),
        Kind(
            "search_timed_out",
            503,
            "Search timed out",
            "No worker has read the query in time, since all are busy or there is none; or the index of the pictures "
            "is still being built.",
            5,
        ),
        Kind("unknown_job", 404, "Unknown job", "The job never existed, was deleted, or has expired."),
        Kind("unknown_night", 404, "Unknown night", "The night never existed, was deleted, or has expired."),
        Kind(
            "unknown_image", 404, "Unknown image", "The job has no picture of this number or in this format."
        ),
        Kind(
            "unknown_upload",
            404,
            "Unknown upload",
            "No upload of this caller has this id: it never existed, was deleted, or has expired.",
        ),
        Kind(
            "uploads_full",
            429,
            "Uploads full",
            "The uploads that are kept have reached their limit: delete some, or wait until some expire.",
            60,
        ),
        Kind(
            "job_not_finished",
            409,
            "Job not finished",
            "The job is queued or running: wait for it and ask again.",
        ),
        Kind(
            "job_not_waiting",
            409,
            "Job not waiting",
            "Only a job that waits can change its place in the queue: this one runs, or has ended.",
        ),
        Kind(
            "idempotency_conflict",
            422,
            "Idempotency conflict",
            "The key was used with another body in the last 24 hours. Use a new key for a new request.",
        ),
        Kind(
            "queue_full",
            429,
            "Queue full",
            "As many jobs wait as may, or those that are kept take too much. Nothing was stored: try again later.",
            10,
        ),
        Kind(
            "rate_limited",
            429,
            "Rate limited",
            "The quota of the tenant or of the key grants no more at present. Try again after Retry-After seconds.",
            1,
        ),
        Kind(
            "quota_exceeded",
            429,
            "Quota exceeded",
            "What is left of this month's quota of the tenant or of the key does not cover the job.",
            is_lasting=True,
        ),
        Kind(
            "queue_unavailable",
            503,
            "Queue unavailable",
            "Redis, which keeps the jobs, is away or refuses to write. An Idempotency-Key makes retries safe.",
            2,
        ),
        Kind(
            "artifacts_unavailable",
            503,
            "Artifact store unavailable",
            "The store that keeps the pictures is away, full, or refuses. Nothing is lost: try again.",
            5,
        ),
        Kind(
            "job_failed",
            500,
            "Job failed",
            "The job that this call waited for has failed; trying the same again would end alike.",
        ),
        Kind(
            "content_blocked",
            422,
            "Content blocked",
            "The operator's safety policy refuses the prompt, or has withheld every picture of the job.",
        ),
        Kind(
            "moderation_unavailable",
            503,
            "Moderation unavailable",
            "The service that judges prompts is away, and the operator wants none taken without its word.",
            5,
        ),
        Kind("job_canceled", 409, "Job canceled", "The job that this call waited for was canceled."),
        Kind(
            "stopping",
            503,
            "Server stopping",
            "The server stopped while this call waited for its job. Another server, or this one soon, takes it.",
            2,
        ),
        Kind(
            "not_supported",
            501,
            "Not supported",
            "Another service has this call, and this server speaks its dialect, but cannot do what it asks for.",
        ),
        Kind("invalid_json", 400, "Invalid JSON", "The body cannot be parsed."),
        Kind("invalid_form", 400, "Invalid form", "The body cannot be read as the form that it is sent as."),
        Kind(
            "unsupported_media_type",
            415,
            "Unsupported media type",
            "Send JSON, as application/json; POST /v1/images takes forms too, and uploads are forms. No body may be "
            "compressed.",
        ),
        Kind(
            "request_timeout",
            TIMED_OUT,
            "Request timeout",
            "The body stopped coming, or came too slowly. Nothing was done; send the request again.",
        ),
        *ADMISSION,
        Kind("body_too_large", TOO_LARGE, "Body too large", "The body is longer than this server reads."),
        Kind("not_found", 404, "Not found", "No route has this path; /openapi.json lists them."),
        Kind(
            "method_not_allowed", 405, "Method not allowed", "The path takes other methods, named in Allow."
        ),
        Kind("internal", 500, "Internal error", "A fault of the server, logged there under the request id."),
    )
}
