"""Keys in Redis that Python reads or writes; ``lua/prelude.lua`` describes all keys."""

from jobs.db.scripts import PREFIX

ADVANCES = PREFIX + "advances"
ARCHIVED_UNTIL = PREFIX + "archived_until"
AUDIT = PREFIX + "audit"
AUDIT_FAILURES = PREFIX + "audit_failures"
CHANGED_KEYS = PREFIX + "changed_keys"
CHECK = PREFIX + "check"
EXECUTIONS_LOST = PREFIX + "executions_lost"
FINISHED = PREFIX + "finished"
INTERRUPTS = PREFIX + "interrupts"
JOBS = PREFIX + "jobs"
KEYS = PREFIX + "keys"
KEY_USES = PREFIX + "key_uses"
KEPT_BYTES = PREFIX + "kept_bytes"
KEPT_FILE_BYTES = PREFIX + "kept_file_bytes"
KNOWN_WORKERS = PREFIX + "known_workers"
LEASES = PREFIX + "leases"
LINK_SECRET = PREFIX + "link_secret"
NIGHTS = PREFIX + "nights"
OPEN_NIGHTS = PREFIX + "open_nights"
ORPHANS = PREFIX + "orphans"
PACE = PREFIX + "pace"
PARKED = PREFIX + "aside"
POOL_SPEEDS = PREFIX + "pool_speeds"
REISSUED = PREFIX + "reissued"
TALLIES = PREFIX + "tallies"
TENANTS = PREFIX + "tenants"
TENANT_RECORDS = PREFIX + "tenant_records"
WAITING = PREFIX + "waiting"
WAITING_COST = PREFIX + "waiting_cost"
WEBHOOKS = PREFIX + "webhooks"
WEBHOOK_SECRET = PREFIX + "webhook_secret"
WORKERS = PREFIX + "workers"
WORK_FOR = PREFIX + "work_for"


def job(job_id: str) -> str:
    """The record of a job."""
    return f"{PREFIX}job:{job_id}"


def jobs_of(status: str, tenant: str = "") -> str:
    """The jobs of one status, of one tenant or of all."""
    return f"{PREFIX}status_of:{tenant}:{status}" if tenant else f"{PREFIX}status:{status}"


def jobs_of_tenant(tenant: str) -> str:
    """All jobs of a tenant."""
    return f"{PREFIX}jobs_of:{tenant}"


def labeled(label: str, tenant: str = "") -> str:
    """The jobs of a tenant that have a label."""
    return f"{PREFIX}label_of:{tenant}:{label}"


def inputs(digest: str, tenant: str = "") -> str:
    """The jobs of a tenant that keep a picture which their callers brought."""
    return f"{PREFIX}inputs_of:{tenant}:{digest}" if tenant else f"{PREFIX}inputs:{digest}"


def upload(owner: str, digest: str) -> str:
    """A picture that a caller has uploaded."""
    return f"{PREFIX}upload:{owner}:{digest}"


def uploads_of(owner: str) -> str:
    """The uploads of a caller."""
    return f"{PREFIX}uploads_of:{owner}"


def events(job_id: str | None) -> str:
    """The stream of a job's events; for None that of all jobs'."""
    return PREFIX + "events" if job_id is None else f"{PREFIX}events:{job_id}"


def events_of(tenant: str) -> str:
    """The stream of the events of a tenant's jobs."""
    return f"{PREFIX}events_of:{tenant}"


def previews(job_id: str) -> str:
    """The newest preview of each picture of a job."""
    return f"{PREFIX}previews:{job_id}"


def worker(name: str) -> str:
    """The last heartbeat of a worker."""
    return f"{PREFIX}worker:{name}"


def draining(name: str) -> str:
    """The process of a worker that an operator has drained."""
    return f"{PREFIX}draining:{name}"


def last_heartbeat(name: str) -> str:
    """The last heartbeat of a worker of the last hour."""
    return f"{PREFIX}last_heartbeat:{name}"


def waiting_since(priority: str) -> str:
    """The waiting jobs of a priority by creation."""
    return f"{PREFIX}waiting_since:{priority}"


def holders(model: str) -> str:
    """The workers that hold a model and have room."""
    return f"{PREFIX}holders:{model}"


def idempotency(key: str, owner_digest: str = "") -> str:
    """The job of an idempotency key; that of an anonymous caller has no owner."""
    return f"{PREFIX}idempotency_of:{owner_digest}:{key}" if owner_digest else f"{PREFIX}idempotency:{key}"


def usage(account: str, month: str) -> str:
    """What the jobs of an account have used in a month (``202611``)."""
    return f"{PREFIX}usage:{account}:{month}"


def nights_of(tenant: str) -> str:
    """The nights of a tenant; those of the default one are of the empty name."""
    return f"{PREFIX}nights_of:{tenant}"


def night(night_id: str) -> str:
    """The record of a night."""
    return f"{PREFIX}night:{night_id}"


def night_jobs(night_id: str) -> str:
    """The jobs of a night that have not ended, by their pictures."""
    return f"{PREFIX}night_jobs:{night_id}"


def night_scores(night_id: str) -> str:
    """The pictures that a night holds, by score."""
    return f"{PREFIX}night_scores:{night_id}"


def night_pictures(night_id: str) -> str:
    """The jobs of these pictures."""
    return f"{PREFIX}night_pictures:{night_id}"


def night_race(night_id: str) -> str:
    """When each picture of a night came, and what it scored."""
    return f"{PREFIX}night_race:{night_id}"


def of_tenant(caller: str, tenant: str) -> str:
    """The name of a caller among those of all tenants; in the default one it is the caller's own."""
    # A name has one line, and what a dialect puts before it does not begin so.
    return f"tenant {tenant}\n{caller}" if tenant else caller
