"""Where pictures are kept: any fsspec URL, a local folder by default."""

from pathlib import PurePosixPath

import fsspec

from jobs.errors import UnknownImageError


class ArtifactStore:
    """Files by key under one URL (a local folder, ``s3://bucket/prefix``, ...).

    Keys are made by us from job ids and numbers, never from a request. A key is written once and never changed, so a
    reader sees a whole file or none.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.url_to_fs(url)

    def put(self, key: str, data: bytes) -> None:
        """Store a file whole: a reader never sees half of it."""
        path = self._path(key)
        self._fs.makedirs(str(PurePosixPath(path).parent), exist_ok=True)
        if "file" in self._fs.protocol:
            # Object stores publish an object when it is complete; a folder needs the rename.
            self._fs.pipe_file(path + ".partial", data)
            self._fs.mv(path + ".partial", path)
        else:
            self._fs.pipe_file(path, data)

    def get(self, key: str) -> bytes:
        """The bytes of a file.

        Raises:
            UnknownImageError: there is no such file.
        """
        try:
            data: bytes = self._fs.cat_file(self._path(key))
        except FileNotFoundError as error:
            raise UnknownImageError("the picture is no longer in the artifact store") from error
        return data

    def keys(self, prefix: str) -> list[str]:
        """All keys under a prefix (a job's id, or one execution's ``job/fence``), sorted."""
        path = self._path(prefix)
        self._fs.invalidate_cache()
        found = self._fs.find(path)
        return sorted(name[len(self._root) :].lstrip("/") for name in found)

    def delete(self, prefix: str) -> None:
        """Remove everything under a prefix; nothing to remove is fine."""
        self._fs.invalidate_cache()
        try:
            self._fs.rm(self._path(prefix), recursive=True)
        except FileNotFoundError:
            return

    def _path(self, key: str) -> str:
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise ValueError(f"{key!r} is not a key")
        return f"{self._root.rstrip('/')}/{key}"
