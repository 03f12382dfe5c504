"""Fuzz every reader as `fuzz_readers.py` does, guided by the lines of detente that a case reaches (atheris, which is libFuzzer).

    pip install atheris
    python benchmarks/fuzz_coverage.py --minutes 10 --out benchmarks/results/fuzz_coverage.json

Atheris chooses the bytes that hypothesis draws its changes from, and keeps those that reach something new. A process for each reader, since a
fuzzer of that kind ends its process; the time is divided among them. What counts as a failure is that of `fuzz_readers.py`, and the exit
code is 1 with one. Atheris has wheels for Linux and some versions of Python only; it is no dependency.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# detente is imported where it is used: a reader's process instruments it first.


def main() -> None:
    """Fuzz, print and write; as a child, one reader."""
    options = _options()
    if options.reader:
        guided(options.reader, 60 * options.minutes, options.seed, options.out)
    import fuzz_readers

    from detente.results import now, write_json

    names = list(fuzz_readers.readers())
    found = {name: _in_child(name, options.minutes / len(names), options.seed) for name in names}
    record: dict[str, Any] = {"date": now(), "seed": options.seed, "minutes": options.minutes}
    record |= {"cases": sum(each["cases"] for each in found.values()), "readers": found}
    print(json.dumps(record, indent=1))
    if options.out:
        write_json(options.out, record)
    sys.exit(any(each["failures"] for each in found.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="of all readers together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--reader", help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_child(name: str, minutes: float, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "found.json"
        command = [sys.executable, __file__, "--reader", name, "--minutes", str(minutes), "--seed", str(seed)]
        done = subprocess.run([*command, "--out", str(out)], capture_output=True, text=True, check=False)
        if not out.exists():
            # The process ended by itself: killed for memory, or by a signal of a library.
            return {"cases": 0, "ends": {}, "failures": [f"ended with {done.returncode}: {done.stderr[-400:]}"]}
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    print(f"{name}: {found['cases']} cases, {found['ends']}", flush=True)
    return found


def guided(name: str, seconds: float, seed: int, out: Path) -> None:
    """Fuzz one reader; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["detente"]):
        import fuzz_readers

        from detente.results import write_json
    found, reader = fuzz_readers.Found(), fuzz_readers.readers()[name]
    fuzz_readers.limit_memory()
    run = fuzz_readers.cases_of(name, reader, seed, found).hypothesis.fuzz_one_input
    deadline = time.monotonic() + seconds

    def one(content: bytes) -> None:
        run(content)
        if time.monotonic() > deadline:
            ends = found.ends[name]
            write_json(out, {"cases": ends.total(), "ends": dict(ends), "failures": sorted(found.failures)})
            os._exit(0)

    # Errors of the readers are caught and counted; libFuzzer's own limits lie above those of a case.
    atheris.Setup([sys.argv[0], f"-seed={seed}", "-max_len=4096", "-timeout=60", "-rss_limit_mb=0"], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
