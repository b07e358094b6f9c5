"""Kills parts of a real service at random; ``python -m benchmarks.chaos`` says how."""
