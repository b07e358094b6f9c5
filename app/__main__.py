"""``python -m app`` is the ``lodestar`` command."""

from app.cli.main import main

main()
