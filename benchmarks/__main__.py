"""``python -m benchmarks [argument ...]``: every benchmark in turn, each with these arguments."""

from benchmarks import chaos, guidance_gain, queue, serving

BENCHMARKS = (guidance_gain, serving, queue, chaos)

if __name__ == "__main__":
    for benchmark in BENCHMARKS:
        benchmark.main()
