"""``python -m benchmarks [argument ...]``: every benchmark in turn, each with these arguments."""

from benchmarks import aesthetics, guidance_gain

BENCHMARKS = (guidance_gain, aesthetics)

if __name__ == "__main__":
    for benchmark in BENCHMARKS:
        benchmark.main()
