"""``python -m benchmarks [argument ...]``: every benchmark in turn, each with these arguments."""

from benchmarks import (
    aesthetics,
    chaos,
    full_size,
    guidance_gain,
    guidance_quality,
    guidance_speed,
    queue,
    serving,
)

BENCHMARKS = (
    guidance_gain,
    guidance_speed,
    guidance_quality,
    aesthetics,
    full_size,
    serving,
    queue,
    chaos,
)

if __name__ == "__main__":
    for benchmark in BENCHMARKS:
        benchmark.main()
