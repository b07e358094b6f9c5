"""``python -m benchmarks [argument ...]``: every benchmark in turn, each with these arguments."""

from benchmarks import guidance_gain, serving

BENCHMARKS = (guidance_gain, serving)

if __name__ == "__main__":
    for benchmark in BENCHMARKS:
        benchmark.main()
