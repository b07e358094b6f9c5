"""The records of jobs that ended a while ago, as JSON beside their pictures: ``<job>/job.json``.

Redis keeps of such a job what lists, limits and its deletion need, see ``lua/archive.lua``; the rest is here, and goes
with the job's files.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from jobs.errors import LodestarError, QueueUnavailableError, UnknownImageError, unknown_job
from jobs.storage.artifacts import ArtifactStore

log = structlog.get_logger(__name__)

VERSION = 1
MARK = "archived"
"""Field of a record that is archived."""
READ_AT_ONCE = 8  # files of one page of a list


class DamagedArchiveError(ValueError):
    """The file of an archived job is no record, as a damaged record in Redis is none; those of others may be whole."""


class JobArchive:
    """Writes records, and reads them where Redis has them no more. Threads may share it."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def write(self, job_id: str, record: Mapping[str, str]) -> None:
        """Store a record; OSError if the store cannot be reached."""
        content = {"version": VERSION, "record": dict(record)}
        self._artifacts.put(_key(job_id), json.dumps(content, ensure_ascii=False, indent=1).encode())

    def whole(self, job_id: str, record: dict[str, str]) -> dict[str, str]:
        """A record as it was before it was archived; the same if it is not.

        Raises:
            UnknownJobError: its file is gone.
            DamagedArchiveError: its file is no record.
            QueueUnavailableError: the store cannot be reached.
        """
        if MARK not in record:
            return record
        try:
            content: dict[str, Any] = json.loads(self._artifacts.get(_key(job_id)))
            found: dict[str, str] = content["record"]
        except UnknownImageError as error:
            raise unknown_job(job_id) from error
        except OSError as error:
            raise QueueUnavailableError("the archive of the jobs cannot be read") from error
        except (ValueError, LookupError, TypeError) as error:
            raise DamagedArchiveError(f"the archive of job {job_id} cannot be read") from error
        return found

    def pages(self, ids: Sequence[str], records: Sequence[dict[str, str]]) -> list[dict[str, str]]:
        """The same for several jobs; empty for those whose file is gone or, which the log says, damaged.

        Raises:
            QueueUnavailableError: the store cannot be reached.
        """
        if not any(MARK in record for record in records):
            return list(records)
        with ThreadPoolExecutor(READ_AT_ONCE) as pool:
            return list(pool.map(self._whole_or_none, ids, records))

    def _whole_or_none(self, job_id: str, record: dict[str, str]) -> dict[str, str]:
        try:
            return self.whole(job_id, record)
        except DamagedArchiveError as error:
            log.warning("job cannot be read", job=job_id, reason=str(error))
            return {}
        except QueueUnavailableError:
            raise
        except LodestarError:
            return {}


def _key(job_id: str) -> str:
    return f"{job_id}/job.json"
