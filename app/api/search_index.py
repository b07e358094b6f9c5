"""The FAISS index of the kept pictures, built from the segments that workers write."""

import io
import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from jobs import extras
from jobs.errors import MissingExtraError, UnknownImageError
from jobs.storage.segments import Segment, Segments

SNAPSHOT_EVERY = 512  # new segments: reading one file instead of as many spares a server minutes at its start

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Found:
    """A picture and its similarity."""

    job_id: str
    fence: str
    index: int
    similarity: float


@dataclass(frozen=True)
class _Entry:
    key: str  # of its segment
    job_id: str
    fence: str
    index: int
    tenant: str = ""


class SearchIndex:
    """An exact index by inner product. Each search first adds new segments.

    Any number of servers may each have their own; they share the segments, and a snapshot that saves time at the start.
    Threads may share one.
    """

    def __init__(self, segments: Segments) -> None:
        """Start empty."""
        self._segments = segments
        self._snapshot = f"{segments.folder}/snapshot.npz"
        self._lock = threading.Lock()
        self._index: Any = None
        self._entries: list[_Entry] = []
        self._known: set[str] = set()
        self._since_snapshot = 0

    def nearest(self, vector: Sequence[float], limit: int, tenant: str = "") -> list[Found]:
        """The nearest pictures of a tenant, nearest first.

        Args:
            vector: unit vector of the CLIP whose segments these are.
            limit: pictures at most.
            tenant: whose; the default one if it is empty.

        Raises:
            MissingExtraError: FAISS is not installed.
            OSError: the artifact store cannot be reached.
        """
        faiss, np = _libraries()
        with self._lock:
            self._refresh(faiss, np)
            # FAISS takes no empty index: all pictures may have been deleted.
            if not self._entries or self._index.d != len(vector):
                return []
            own = [place for place, entry in enumerate(self._entries) if entry.tenant == tenant]
            if not own:
                return []
            query = np.asarray([vector], dtype=np.float32)
            among = faiss.SearchParameters(sel=faiss.IDSelectorBatch(own))
            similarities, places = self._index.search(query, min(limit, len(own)), params=among)
            return [
                Found(entry.job_id, entry.fence, entry.index, float(similarity))
                for similarity, entry in (
                    (similarity, self._entries[place])
                    for similarity, place in zip(similarities[0], places[0], strict=True)
                    if place >= 0
                )
            ]

    def forget(self, job_id: str, fence: str) -> None:
        """Remove the pictures of an execution, whose job is gone or has others."""
        _, np = _libraries()
        key = self._segments.key(job_id, fence)
        with self._lock:
            self._segments.delete(key)
            self._drop({key}, np)

    def __len__(self) -> int:
        return len(self._entries)

    def _refresh(self, faiss: Any, np: Any) -> None:
        if self._index is None:
            self._load_snapshot(faiss, np)
        present = set(self._segments.keys())
        if gone := self._known - present:
            self._drop(gone, np)
        for key in sorted(present - self._known):
            try:
                self._add(key, self._segments.get(key), faiss, np)
            except UnknownImageError:
                continue  # deleted meanwhile
            except ValueError as error:
                log.warning("damaged segment left out", key=key, reason=str(error))
                self._known.add(key)
        if self._since_snapshot >= SNAPSHOT_EVERY:
            self._save_snapshot(faiss, np)

    def _add(self, key: str, segment: Segment, faiss: Any, np: Any) -> None:
        rows = np.frombuffer(segment.data, dtype="<f4").astype(np.float32)
        rows = rows.reshape(len(segment.indexes), segment.width)
        if self._index is None:
            self._index = faiss.IndexFlatIP(segment.width)
        if self._index.d != segment.width:
            raise ValueError(f"its vectors have {segment.width} numbers, the others {self._index.d}")
        self._index.add(rows)
        self._entries += [
            _Entry(key, segment.job_id, segment.fence, index, segment.tenant) for index in segment.indexes
        ]
        self._known.add(key)
        self._since_snapshot += 1

    def _drop(self, keys: set[str], np: Any) -> None:
        places = [place for place, entry in enumerate(self._entries) if entry.key in keys]
        if places:
            # A flat index closes the gaps, as the list below does.
            self._index.remove_ids(np.asarray(places, dtype=np.int64))
            self._entries = [entry for entry in self._entries if entry.key not in keys]
        self._known -= keys

    def _load_snapshot(self, faiss: Any, np: Any) -> None:
        try:
            with np.load(io.BytesIO(self._segments.read(self._snapshot)), allow_pickle=False) as arrays:
                entries = [_Entry(*row) for row in json.loads(bytes(arrays["entries"]))]
                index = faiss.deserialize_index(arrays["index"])
        except UnknownImageError:
            return
        except Exception as error:  # whatever is wrong with it, the segments are there
            log.warning("damaged snapshot of the search index left out", reason=str(error))
            return
        if index.ntotal == len(entries):
            self._index, self._entries = index, entries
            self._known = {entry.key for entry in entries}

    def _save_snapshot(self, faiss: Any, np: Any) -> None:
        rows = [[entry.key, entry.job_id, entry.fence, entry.index, entry.tenant] for entry in self._entries]
        out = io.BytesIO()
        entries = np.frombuffer(json.dumps(rows).encode(), dtype=np.uint8)
        np.savez(out, index=faiss.serialize_index(self._index), entries=entries)
        self._segments.write(self._snapshot, out.getvalue())
        self._since_snapshot = 0


def _libraries() -> tuple[Any, Any]:
    try:
        import faiss
        import numpy as np
    except ImportError as error:
        raise MissingExtraError(extras.missing("search", "search")) from error
    return faiss, np
