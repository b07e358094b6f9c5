"""``python -m benchmarks [argument ...]``: every benchmark in turn, each with these arguments."""

from benchmarks import full_size, guidance_gain, guidance_quality, guidance_speed, serving

BENCHMARKS = (guidance_gain, guidance_speed, guidance_quality, full_size, serving)

if __name__ == "__main__":
    for benchmark in BENCHMARKS:
        benchmark.main()
