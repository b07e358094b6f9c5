"""Draw a prompt without guidance and with it, at one seed: ``python examples/pair.py "noto red apple" --seed 7``.

Writes ``plain.png`` and ``guided.png``. Needs the client (``pip install ./lodestar``). The service is the one at
``LODESTAR_URL``, else this machine's; if it asks for a key, set ``LODESTAR_KEY``.
"""

import argparse

from lodestar import Client, ClientError


def main() -> None:
    """Submit both jobs, then wait for their pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prompt")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--preset", default="fast")
    options = parser.parse_args()
    with Client() as client:
        plain = client.generate(options.prompt, seed=options.seed)
        guided = client.generate(options.prompt, seed=options.seed, guidance=options.preset)
        for name, generation in (("plain.png", plain), ("guided.png", guided)):
            (picture,) = generation
            picture.save(name)
            print(f"{name}: seed {picture.seed}, job {picture.job.id}")


if __name__ == "__main__":
    try:
        main()
    except ClientError as error:
        raise SystemExit(f"pair: {error}") from error
