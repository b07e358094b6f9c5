"""The file of what a model draws."""

from pathlib import Path

from jobs.errors import ConfigurationError


def lines_of(file: Path) -> list[str]:
    """The lines of a vocabulary; none where it is missing, as where the API runs without the models' files.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the vocabulary {file} cannot be read: {error}") from error
