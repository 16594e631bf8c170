"""Instructions of the pure layers, counted by callgrind: python benches/instructions.py.

They do not feel a noisy machine, so that a change shows by its difference. Writes results/instructions.md. Needs valgrind
and cargo; the processor that valgrind emulates may be served by other code than the real one where code asks for it.
"""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

from results import FOLDER

ROOT: Final = Path(__file__).parents[1]
COUNTS: Final = {
    "header/small": 1000,
    "header/full": 1000,
    "read/small": 1000,
    "read/1k": 100,
    "read/100k": 4,
    "scan/1k": 1000,
    "values/100k": 4,
    "write/5 characters": 1000,
    "write/1000 characters": 1000,
    "write/integer": 1000,
    "write/float": 1000,
}
"""How often each case is done, by its name in codec.rs."""


def build() -> str:
    """Build the bench; return the path of the program."""
    command = ["cargo", "bench", "--no-run", "--no-default-features", "--bench", "codec"]
    done = subprocess.run(
        [*command, "--message-format=json"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    return next(
        str(message["executable"])
        for message in messages
        if message["reason"] == "compiler-artifact" and message["target"]["name"] == "codec"
    )


def collected(program: str, case: str, count: int) -> int:
    """Return the instructions of one run of the program."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, case]
    done = subprocess.run([*command, str(count)], check=True, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found is not None, done.stderr
    return int(found.group(1))


def main() -> None:
    """Count each case and write the table."""
    program = build()
    lines = ["# Instructions", "Written by instructions.py: of one call, by callgrind.", ""]
    lines += ["| case | instructions |", "| --- | --: |"]
    for case, count in COUNTS.items():
        # twice as many calls less the same number: starting and making the input cancel out
        difference = collected(program, case, 2 * count) - collected(program, case, count)
        lines.append(f"| {case} | {difference / count:,.0f} |")
    text = "\n".join(lines) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "instructions.md").write_text(text)
    print(text)


main()
