"""Reads what the peers need of an experiment file, so that no network is written down twice. Standard library only."""

import argparse
import json
import math
import pathlib
import tomllib
from dataclasses import dataclass
from typing import Any

Table = dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """A workload: `configs/bench/*.toml`, or a file that `bench/scaling` wrote."""

    document: Table
    samples: int
    input_shape: list[int]
    classes: int
    layers: list[Table]
    optimizer: Table
    batch_size: int
    epochs: int
    epochs_per_call: int

    @property
    def is_double(self) -> bool:
        return self.document.get("dtype") == "f64"

    @property
    def is_inline(self) -> bool:
        return self.document["data"]["type"] == "inline"

    @property
    def calls(self) -> int:
        """How often to train for `epochs_per_call` epochs; the first call warms up."""
        return self.epochs if self.epochs_per_call == 1 else 3

    @property
    def width(self) -> int:
        return math.prod(self.input_shape)

    def inline_data(self) -> tuple[list[list[float]], list[list[float]]]:
        """The rows of `x`, centred as `scale = "center"` does, and those of `y`."""
        data = self.document["data"]
        means = [sum(column) / len(column) for column in zip(*data["x"])]
        return [[x - mean for x, mean in zip(row, means)] for row in data["x"]], data["y"]


def merged(base: Table, child: Table) -> Table:
    """`extends`: tables are merged, unless their types differ; anything else replaces."""
    result = dict(base)
    for key, value in child.items():
        old = result.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        if both and old.get("type", value.get("type")) == value.get("type", old.get("type")):
            value = merged(old, value)
        result[key] = value
    return result


def document_of(path: pathlib.Path) -> Table:
    document = tomllib.loads(path.read_text())
    base = document.pop("extends", None)
    return merged(document_of(path.parent / base), document) if base else document


def load(path: pathlib.Path, samples: int | None = None) -> Experiment:
    document = document_of(path)
    data, train = document["data"], document["train"]
    inline = data["type"] == "inline"
    every = train.get("log_every", 1)
    return Experiment(
        document=document,
        samples=len(data["x"]) if inline else samples or data["samples"],
        input_shape=[len(data["x"][0])] if inline else data["input_shape"],
        classes=0 if inline else data["classes"],
        layers=document["model"]["layers"],
        optimizer=document["optimizer"],
        batch_size=train["batch_size"],
        epochs=train["epochs"],
        epochs_per_call=every,
    )


@dataclass(frozen=True)
class Call:
    """What a peer is asked for."""

    experiment: Experiment
    threads: int
    check: pathlib.Path | None
    check_epochs: int


def call() -> Call:
    """Reads the command line that all peers share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples", type=int, help="instead of the file's")
    parser.add_argument("--check", type=pathlib.Path, help="a folder for start weights, data and losses; nothing is timed")
    parser.add_argument("--check-epochs", type=int, default=3)
    arguments = parser.parse_args()
    experiment = load(arguments.config, arguments.samples)
    return Call(experiment, arguments.threads, arguments.check, arguments.check_epochs)


def report(version: str, seconds_per_epoch: list[float]) -> None:
    print(json.dumps({"version": version, "seconds_per_epoch": seconds_per_epoch}))
