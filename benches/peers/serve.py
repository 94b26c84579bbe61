"""What the peers in Python share: the cases, and the answers to `cargo xtask bench` (see benches/engine/src/serve.rs)."""

import json
import os
import sys
import time
from pathlib import Path

# what a peer prints itself must not be taken for an answer, and must not be lost either
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


class Cases:
    def __init__(self, file):
        content = json.loads(Path(file).read_text())
        self.workers, self.cases = content["workers"], content["cases"]

    def __getitem__(self, name):
        return self.cases[name]


def say(answer):
    print(">", json.dumps(answer), file=ANSWERS)


def serve(versions, measure):
    """Answers each `CASE SECONDS` line of stdin with what `measure(case, seconds)` returns."""
    say(versions)
    for line in sys.stdin:
        case, seconds = line.split()
        try:
            say(measure(case, float(seconds)))
        except Exception as problem:  # the peer's own failure is its result, not the end of the run
            say({"error": f"{type(problem).__name__}: {problem}"})


def loop(seconds, step, least=3):
    """Images, seconds and defects of calling `step(number)` for so long; it returns (images, defects)."""
    start = time.perf_counter()
    images = defects = 0
    while images < least or time.perf_counter() - start < seconds:
        more, found = step(images)
        images, defects = images + more, defects + found
    return images, time.perf_counter() - start, defects
