"""What `bench/compare` and `bench/scaling` share: programs, runs, machine, tables. Standard library only."""

import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
PEERS = BENCH / "peers"
CONFIGS = ROOT / "configs" / "bench"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
# Not in CARGO_TARGET_DIR: worktrees may share that.
VENV = ROOT / "target" / "bench-venv"
PYTHON = VENV / "bin" / "python"
PROGRAMS = ROOT / "target" / "bench-programs"
CANDLE = PROGRAMS / "candle" / "release" / "candle-peer"
Json = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """A command that ended well."""

    stdout: str
    wall_seconds: float
    peak_mib: float


def environment(threads: int) -> dict[str, str]:
    """That of all programs: libraries take so many threads, and choose their kernels by themselves."""
    variables = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    count = {name: str(threads) for name in names}
    return {**variables, **count, "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(command: Sequence[str | pathlib.Path], threads: int = 1, stderr: int | None = subprocess.PIPE) -> Ran:
    """Runs a command to its end; the peak is of the command alone."""
    with tempfile.NamedTemporaryFile() as report:
        words = [str(word) for word in (PROGRAMS / "measure", report.name, *command)]
        ended = subprocess.run(words, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment(threads))
        if ended.returncode != 0:
            raise SystemExit(f"{' '.join(words[2:])} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr or ''}")
        seconds, kibibytes = pathlib.Path(report.name).read_text().split()
    return Ran(ended.stdout, float(seconds), int(kibibytes) / 1024)


def build_programs() -> None:
    """The two C programs."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    for source in (BENCH / "measure.c", PEERS / "gender.c"):
        command = ["gcc", "-O3", "-march=native", "-Wall", "-o", PROGRAMS / source.stem, source, "-lm"]
        subprocess.run(command, check=True)


def build_candle() -> pathlib.Path:
    """The one peer in Rust, for this machine's instructions; where it is."""
    manifest = PEERS / "candle" / "Cargo.toml"
    words = ["cargo", "build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", CANDLE.parents[1]]
    subprocess.run(words, check=True, env={**os.environ, "RUSTFLAGS": "-C target-cpu=native"})
    return CANDLE


def build_chainrule() -> pathlib.Path:
    """The release binaries; where the runner is."""
    packages = ["-p", "chainrule-runner", "-p", "chainrule-benches"]
    subprocess.run(["cargo", "build", "--release", "--locked", *packages], cwd=ROOT, check=True)
    return TARGET / "release" / "runner"


def make_venv() -> None:
    """The peers' environment, once, and again when the pins change."""
    requirements, installed = BENCH / "requirements.txt", VENV / "requirements.txt"
    if installed.exists() and installed.read_text() == requirements.read_text():
        return
    subprocess.run(["python3", "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin" / "pip", "install", "--quiet", "-r", requirements], check=True)
    shutil.copy(requirements, installed)


@dataclass(frozen=True)
class Trained:
    """A run of Chainrule: what its directory says, and what it cost."""

    epochs: list[Json]
    result: Json
    ran: Ran

    @property
    def seconds_per_epoch(self) -> list[float]:
        """Without the first record: it warms up."""
        timed = self.epochs[1:] or self.epochs
        return [record["train_seconds"] / record["epochs_since"] for record in timed]


def flags(sets: Iterable[str]) -> list[str]:
    return [word for each in sets for word in ("--set", each)]


def train(
    runner: pathlib.Path,
    config: pathlib.Path,
    sets: Iterable[str] = (),
    threads: int = 1,
    progress: str = "none",
    out: pathlib.Path | None = None,
    stderr: int | None = subprocess.PIPE,
) -> Trained:
    """Trains an experiment; the run is left in `out`, if given."""
    with tempfile.TemporaryDirectory() as folder:
        path = out or pathlib.Path(folder) / "run"
        command = [runner, "train", config, "--out", path, "--progress", progress, "--threads", str(threads)]
        ran = run([*command, *flags(sets)], threads, stderr)
        epochs = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
        return Trained(epochs, json.loads((path / "result.json").read_text()), ran)


def peer(script: str, config: pathlib.Path, threads: int, *arguments: str | pathlib.Path) -> tuple[Json, Ran]:
    """Runs a peer on an experiment; what it printed last."""
    ran = run([PYTHON, PEERS / script, config, "--threads", str(threads), *arguments], threads)
    lines = ran.stdout.splitlines()
    return (json.loads(lines[-1]) if lines else {}), ran


def output_of(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    except OSError:
        return ""


def machine() -> Json:
    """What the numbers belong to."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    models = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "rustc": output_of("rustc", "--version"),
        "gcc": output_of("gcc", "-dumpfullversion"),
        "python": platform.python_version(),
        "commit": output_of("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(output_of("git", "status", "--porcelain", "crates", "benches", "configs", "Cargo.lock")),
        "load_before": round(os.getloadavg()[0], 2),
    }


def machine_line(facts: Json) -> str:
    commit = facts["commit"] + (" with changes" if facts["changed"] else "")
    return (
        f"{facts['cores']} cores of {facts['cpu']}, {facts['system']}; {facts['rustc']}, gcc {facts['gcc']}, Python "
        f"{facts['python']}; commit {commit}; load before {facts['load_before']}."
    )


def warn_of_load() -> None:
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"the load is {load:.2f}: other work is running, and the numbers will show it")


def short(value: float) -> str:
    """Three digits."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def with_range(values: Sequence[float]) -> str:
    """Median, and the smallest and largest value."""
    if not values:
        return ""
    return f"{short(statistics.median(values))} ({short(min(values))} to {short(max(values))})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def write_between(path: pathlib.Path, marker: str, text: str) -> None:
    """Puts text between `<!-- marker -->` and `<!-- /marker -->`."""
    before, opening, rest = path.read_text().partition(f"<!-- {marker} -->\n")
    _, closing, after = rest.partition(f"<!-- /{marker} -->")
    if not opening or not closing:
        raise SystemExit(f"{path} has no place for `{marker}`")
    path.write_text(f"{before}{opening}{text.strip()}\n{closing}{after}")
