"""The kinds of error of whoever may not do what it asks for: by host, site, key, scope or signed address."""

from app.api.problems.kind import Kind

ADMISSION = (
    Kind(
        "host_not_allowed",
        403,
        "Host not allowed",
        "The request calls the server by a name that is not its own. LODESTAR_ALLOWED_HOSTS allows more names.",
    ),
    Kind(
        "cross_site",
        403,
        "Cross-site request",
        "A web page of another site asks for something that is not only reading. LODESTAR_CORS_ORIGINS lets it in.",
    ),
    Kind(
        "secret_not_served",
        403,
        "Secret not served",
        "The command lodestar webhook-secret prints the webhooks' secret. HTTP discloses it only if the operator "
        "wants that.",
    ),
    Kind(
        "unauthenticated",
        401,
        "Unauthenticated",
        "The request needs a key, and brings none that counts. Send it as Authorization: Bearer, or as X-API-Key.",
    ),
    Kind(
        "too_many_wrong_keys",
        429,
        "Too many wrong keys",
        "Many different wrong keys came from the sender's address. Try again after Retry-After seconds.",
        60,
    ),
    Kind(
        "missing_scope",
        403,
        "Missing scope",
        "The key may not do this; the detail names the scope that it lacks.",
    ),
    Kind(
        "key_in_query",
        400,
        "Key in the address",
        "Addresses are logged and passed on, so a key in one is refused. Send it in a header, and rotate it.",
    ),
    Kind(
        "invalid_link",
        403,
        "Invalid link",
        "The address of a picture was not signed by this server for this picture, format and time.",
    ),
    Kind(
        "link_expired",
        410,
        "Link expired",
        "The address of a picture counted for a while, which is over. Its sender can make a new one.",
    ),
    Kind("unknown_key", 404, "Unknown key", "No key of callers has this id, or it was revoked."),
    Kind(
        "unknown_tenant",
        404,
        "Unknown tenant",
        "Nothing is set for a tenant of this name; one exists as soon as a key names it.",
    ),
    Kind(
        "unknown_worker", 404, "Unknown worker", "No worker that is alive has this name, see `/v1/workers`."
    ),
    Kind("unknown_pool", 404, "Unknown pool", "No pool of workers has this name, see `/v1/pools`."),
    Kind(
        "key_in_file",
        409,
        "Key in a file",
        "The keys file of the server has this key. Change it there; the server reads the file again.",
    ),
)
