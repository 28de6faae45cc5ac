"""Throws damaged suites, overrides and results folders at the command line, and counts what it does not bear.

    python -m bench.fuzz [--cases 2000] [--seed 0]

Each case is a function of the seed and its number, so that `--only NUMBER` shows one again. What must hold: no
traceback; exit status 2 and words for what is certainly nonsense, 0 or 2 for the rest; nothing written outside the
results folder; figures that a damaged results folder still yields are those that were measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.lines import Line
from tests.cli.calling import SHORT, SUITE, Called, call

HANGS = 60
"""Seconds after which a case is broken off."""
SLOWEST = 20.0
"""Seconds that a refusal may take, on a machine that does other things too."""

SOUND: dict[str, Any] = {
    "suite": "tiny",
    "title": "A title",
    "dataset": {"name": "digits", "train_images": 128},
    "backbones": ["vgg_digits"],
    "seeds": [0, 1],
    "recipe": {"use": "short_digits", "lr": 0.1, "epochs": {"dense": 3}},
    "methods": [
        "dense",
        {"dnal": {"lambda_a": [1e-4, 2e-4]}},
        {"each": ["l1_norm", "random"], "budget": {"match": "dnal"}, "cuts": ["inner"]},
        {"random": {"allocate": {"from": "dnal"}}},
        {"taylor": {"budget": {"macs": [0.5, 0.25]}, "allocate": {"global": "l2"}}},
    ],
    "resources": {"gpu": 0, "cpu": 1},
    "report": {"x": ["macs"]},
    "profiles": {"smoke": {"seeds": [3]}},
}
JUNK: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        0.5,
        1e300,
        -1e300,
        10**30,
        float("nan"),
        float("inf"),
        "",
        " ",
        "a",
        "../../x",
        "/etc/passwd",
    ),
    *("\u202egnp", "\u0000", "x" * 5000, "*", "&a", "{{7*7}}", "<script>", "%n%s", "'; DROP TABLE event; --", "dnal"),
    *([], {}, [[]], [{}], [None], {"": None}, {"a": {"b": {"c": 1}}}, ["dense"] * 50, {"macs": 0.5}, {"match": "dnal"}),
)
KEYS = ("sed", "no such key", "..", "__class__", "macs", "use", "ﬁ", "x" * 300)
NOWHERE = "no_such_key_anywhere"


@dataclass(frozen=True)
class Case:
    """One attempt.

    Attributes:
        kind: what was damaged, as the table says.
        words: of the command.
        nonsense: whether exit status 0 would be wrong.
    """

    kind: str
    words: tuple[object, ...]
    nonsense: bool


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to all values of a document, its own included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inner for place in places(entry, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], by: Callable[[Any], Any]) -> Any:
    """A copy of the document with one value changed."""
    if not path:
        return by(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(value[path[0]], path[1:], by)
    return copy


def as_yaml(value: Any) -> str:
    """JSON is YAML, but for its names of what is no number."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


def damaged_document(draw: random.Random, folder: Path) -> Case:
    """A suite in which one or two values are others, or a key means nothing."""
    document, nonsense = SOUND, False
    for _ in range(draw.randint(1, 2)):
        path = draw.choice(places(document))
        if draw.random() < 0.3:
            mappings = [each for each in places(document) if isinstance(_at(document, each), dict)]
            if mappings:
                where = draw.choice(mappings)
                document = changed(document, where, lambda value: {**value, NOWHERE: draw.choice(JUNK)})
                nonsense = True
        else:
            document = changed(document, path, lambda _: draw.choice(JUNK))
    # a second change may have removed the key again
    nonsense = nonsense and NOWHERE in as_yaml(document)
    (folder / "suite.yaml").write_text(as_yaml(document), encoding="utf-8", errors="surrogatepass")
    return Case("value or key of a suite", ("plan", "suite.yaml"), nonsense)


def damaged_text(draw: random.Random, folder: Path) -> Case:
    """A suite file with bytes flipped, cut, doubled or put in."""
    content = bytearray(SUITE.encode())
    for _ in range(draw.randint(1, 6)):
        at, act = draw.randrange(len(content) or 1), draw.randrange(5)
        if act == 0 and content:
            content[at] ^= 1 << draw.randrange(8)
        elif act == 1:
            del content[at : at + draw.randint(1, 40)]
        elif act == 2:
            content[at:at] = content[at : at + draw.randint(1, 60)]
        elif act == 3:
            content[at:at] = draw.choice(
                (b"\t", b"&a ", b"*a", b"!!python/object:os.system ", b"<<: ", b"---\n", b"\xff")
            )
        else:
            content[at:at] = draw.choice((b"'", b'"', b"[", b"{", b": ", b"- ", b"\n", b"#", b"\xef\xbb\xbf", b"|"))
    (folder / "suite.yaml").write_bytes(bytes(content))
    return Case("bytes of a suite", ("plan", "suite.yaml"), False)


def damaged_override(draw: random.Random, folder: Path) -> Case:
    """A sound suite with junk in `--set`, `--only` or `--profile`."""
    (folder / "suite.yaml").write_text(as_yaml(SOUND))
    path = [str(step) for step in draw.choice(places(SOUND))] or ["suite"]
    nonsense = draw.random() < 0.3
    if nonsense:
        path = [*path, NOWHERE]
    elif draw.random() < 0.3:
        path[draw.randrange(len(path))] = draw.choice(KEYS)
    value = draw.choice(JUNK)
    text = value if isinstance(value, str) else as_yaml(value)
    option = draw.choice(("--set", "--set", "--set", "--only", "--profile"))
    word = f"{'.'.join(path)}={text}" if option == "--set" else draw.choice((text, ".".join(path)))
    # `key: null` in a mapping that takes any key says nothing wrong
    return Case("an option", ("plan", "suite.yaml", option, word), nonsense and option == "--set" and value is not None)


def damaged_results(draw: random.Random, folder: Path) -> Case:
    """A results folder in which one file is no longer what was written."""
    part = draw.choice(("ledger", "artifacts", "leases"))
    path = draw.choice(sorted(path for path in (folder / "done" / part).rglob("*") if path.is_file()))
    content = bytearray(path.read_bytes())
    act = draw.randrange(8)
    if act == 0 and content:
        for _ in range(draw.randint(1, 30)):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(content))
    elif act == 1:
        path.write_bytes(bytes(content[: draw.randrange(len(content) or 1)]))
    elif act == 2:
        path.write_bytes(draw.randbytes(draw.randint(0, 5000)))
    elif act == 3:
        path.unlink()
    else:
        path.unlink()
        if act == 4:
            path.mkdir()
        elif act == 5:
            path.symlink_to(folder / "outside.txt")
        elif act == 6:
            os.mkfifo(path)
        else:
            path.symlink_to(path)
    command = draw.choice(
        (
            ("plan", "tiny.yaml", "--results", "done", *SHORT),
            ("report", "tiny.yaml", "--results", "done", "--format", "csv", "--into", "done/report", *SHORT),
            ("report", "tiny.yaml", "--results", "done", "--format", "csv", "--into", "done/report", *SHORT),
            ("merge", "done", "--into", "done/merged"),
        )
    )
    return Case(f"results folder: {part}", command, False)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


KINDS = (damaged_document, damaged_document, damaged_text, damaged_override, damaged_results)


class Fuzz:
    """Runs cases against one finished results folder, of which each case gets its own copy."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        signal.signal(signal.SIGALRM, _hangs)
        sound = folder / "sound"
        sound.mkdir()
        (sound / "tiny.yaml").write_text(SUITE)
        (sound / "outside.txt").write_text("not of the results")
        words = ("run", "tiny.yaml", "--results", "done", "--executor", "inline", *SHORT)
        done = call(sound, *words)
        if done.status != 0:
            raise SystemExit(done.err)
        self._figures = _figures(sound / "done" / "report" / "rows.csv")

    def run(self, number: int) -> tuple[str, str]:
        """What one case was, and what went wrong; "" if nothing did."""
        draw = random.Random(f"{self._seed}/{number}")
        kind = draw.choice(KINDS)
        here = self._folder / str(number)
        if kind is damaged_results:
            shutil.copytree(self._folder / "sound", here, symlinks=True)
        else:
            here.mkdir()
        case = kind(draw, here)
        before = _outside(here)
        began = time.monotonic()
        signal.alarm(HANGS)
        try:
            called = call(here, *case.words)
        except BaseException:
            return case.kind, f"{traceback.format_exc().splitlines()[-1]} in {_shown(case)}"
        finally:
            signal.alarm(0)
            after = _outside(here)
        seconds = time.monotonic() - began
        wrong = self._wrong(case, called, here)
        if after != before:
            wrong = f"wrote or changed {sorted(set(before.items()) ^ set(after.items()))[:2]}"
        elif seconds > SLOWEST:
            wrong = wrong or f"took {seconds:.0f} s"
        shutil.rmtree(here, ignore_errors=True)
        return case.kind, f"{wrong}: {_shown(case)}" if wrong else ""

    def _wrong(self, case: Case, called: Called, here: Path) -> str:
        if "Traceback" in called.err or "Traceback" in called.out:
            return "a traceback"
        if called.status not in {0, 1, 2}:
            return f"exit status {called.status}"
        if case.nonsense and called.status == 0:
            return "nonsense passes"
        if called.status == 2 and not called.err.strip():
            return "refused without a word"
        if case.words[0] == "report" and called.status == 0:
            for cell, figures in _figures(here / "done" / "report" / "rows.csv").items():
                if figures not in (self._figures.get(cell), ("", "")):
                    return f"{cell} has become {figures}"
        return ""


def _hangs(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"still waiting after {HANGS} s")


def _figures(rows: Path) -> dict[str, tuple[str, ...]]:
    with rows.open(newline="") as file:
        found = list(csv.DictReader(file))
    return {row["label"]: (row["top1"], row["macs"]) for row in found}


def _outside(folder: Path) -> dict[str, tuple[int, int]]:
    """Everything but the results folder, with size and time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] != "done":
            told = path.lstat()
            found[str(name)] = (told.st_size, told.st_mtime_ns)
    return found


def _shown(case: Case) -> str:
    text = " ".join(str(word) for word in case.words)
    return text if len(text) < 160 else f"{text[:160]}…"


def fuzz(cases: range, seed: int) -> tuple[Counter[str], dict[int, str]]:
    """How many cases of each kind were run, and what went wrong with which."""
    counts: Counter[str] = Counter()
    wrong = {}
    with tempfile.TemporaryDirectory() as temporary:
        fuzzing = Fuzz(Path(temporary), seed)
        for number in cases:
            kind, said = fuzzing.run(number)
            counts[kind] += 1
            if said:
                wrong[number] = f"{kind}: {said}"
                print(f"{number}: {wrong[number]}", file=sys.stderr, flush=True)
    return counts, wrong


def measure(quick: bool) -> list[Line]:
    """One line: how many cases were borne."""
    total = 100 if quick else 2000
    counts, wrong = fuzz(range(total), 0)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    return [Line("damaged input that is borne", f"{total - len(wrong)} of {total}", "–", float("nan"), "all", kinds)]


def main() -> None:
    """Prints the table; exit status 1 if anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.fuzz", description="Throw damaged input at the harness.")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one case again")
    options = parser.parse_args()
    cases = range(options.cases) if options.only is None else range(options.only, options.only + 1)
    began = time.monotonic()
    counts, wrong = fuzz(cases, options.seed)
    print("# Damaged input\n")
    print(f"What `python -m bench.fuzz --cases {options.cases} --seed {options.seed}` printed.\n")
    print("| damaged | cases | tracebacks, wrong exit statuses, writes elsewhere, false figures |\n|---|---:|---:|")
    for kind, count in sorted(counts.items()):
        print(f"| {kind} | {count:,} | {sum(said.startswith(kind + ': ') for said in wrong.values())} |")
    print(f"| all | {sum(counts.values()):,} | {len(wrong)} |")
    print(f"{sum(counts.values()) / (time.monotonic() - began):.1f} cases a second", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
