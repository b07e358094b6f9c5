"""``python -m app`` is the ``lodestar`` command."""

from app.cli import main

main()
