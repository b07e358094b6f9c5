"""The distributions that this code is installed as."""

from importlib.metadata import PackageNotFoundError, version

NAMES = ("lodestar-server", "lodestar-diffusion", "lodestar")
"""With the service; of the client alone; and in environments from before the service had a name of its own. On the
package index ``lodestar`` is somebody else's."""


def own_version() -> str:
    """The version of the first of them that is installed.

    Raises:
        PackageNotFoundError: none is.
    """
    for name in NAMES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    raise PackageNotFoundError(NAMES[0])
