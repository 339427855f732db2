"""Trains an experiment's network with PyTorch, eagerly, as its tutorials do.

With `--check`, it also writes the weights it started from (`start.safetensors`, in Chainrule's names, which are PyTorch's),
its data (`data.csv`) and the running loss of each epoch (`torch.json`), for others to repeat.
"""

import collections
import csv
import json
import pathlib
import time
from collections.abc import Callable

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import experiment as shared
from experiment import Experiment, Table

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}


class Lstm(nn.LSTM):
    """The output at the last position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[0][:, -1]


class Block(nn.TransformerEncoderLayer):
    """A causal block with its norms first."""

    def __init__(self, width: int, heads: int, time: int):
        super().__init__(width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        self.mask = nn.Transformer.generate_square_subsequent_mask(time)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x, src_mask=self.mask, is_causal=True)


class MeanOfPositions(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def module(layer: Table, shape: torch.Size) -> nn.Module:
    """One layer for samples of `shape`, without its activation."""
    match layer["type"]:
        case "dense":
            return nn.Linear(shape[-1], layer["units"])
        case "conv2d":
            return nn.Conv2d(shape[0], layer["filters"], layer["kernel_size"], padding=layer.get("padding", 0))
        case "max_pool2d":
            return nn.MaxPool2d(layer["pool_size"])
        case "flatten":
            return nn.Flatten()
        case "lstm":
            return Lstm(shape[-1], layer["units"], batch_first=True)
        case "transformer_block":
            return Block(shape[-1], layer["heads"], shape[0])
        case "global_avg_pool":
            return MeanOfPositions()
    raise ValueError(f"no counterpart of {layer}")


def build(experiment: Experiment) -> nn.Sequential:
    modules: collections.OrderedDict[str, nn.Module] = collections.OrderedDict()
    x = torch.zeros(2, *experiment.input_shape)
    for index, layer in enumerate(experiment.layers):
        name = layer.get("name", f"{layer['type']}_{index}")
        modules[name] = module(layer, x.shape[1:])
        if activation := layer.get("activation"):
            modules[f"{name}_{activation}"] = ACTIVATIONS[activation]()
        with torch.no_grad():
            for added in list(modules)[len(modules) - (2 if activation else 1) :]:
                x = modules[added](x)
    return nn.Sequential(modules)


def data_of(experiment: Experiment) -> tuple[Tensor, Tensor]:
    if experiment.is_inline:
        x, y = experiment.inline_data()
        return torch.tensor(x), torch.tensor(y, dtype=x_dtype())
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(experiment.samples, *experiment.input_shape, generator=generator)
    return x, torch.randint(0, experiment.classes, (experiment.samples,), generator=generator)


def x_dtype() -> torch.dtype:
    return torch.get_default_dtype()


def optimizer_of(experiment: Experiment, model: nn.Module) -> torch.optim.Optimizer:
    table = experiment.optimizer
    if table["type"] == "adam":
        return torch.optim.Adam(model.parameters(), lr=table["learning_rate"])
    return torch.optim.SGD(model.parameters(), lr=table["learning_rate"], momentum=table.get("momentum", 0.0))


class Training:
    """A network on its way, its data in memory."""

    def __init__(self, experiment: Experiment):
        self.batch_size = experiment.batch_size
        self.shuffles = not experiment.is_inline
        self.model = build(experiment)
        self.x, self.y = data_of(experiment)
        self.loss = nn.MSELoss() if experiment.is_inline else nn.CrossEntropyLoss()
        self.optimizer = optimizer_of(experiment, self.model)

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def epoch(self) -> None:
        if not self.shuffles:
            for start in range(0, len(self.x), self.batch_size):
                self.step(self.x[start : start + self.batch_size], self.y[start : start + self.batch_size])
            return
        for batch in torch.randperm(len(self.x)).split(self.batch_size):
            self.step(self.x[batch], self.y[batch])

    def running_loss(self) -> float:
        """An epoch in the order of the data; the mean loss of its samples as they were trained."""
        batches = zip(self.x.split(self.batch_size), self.y.split(self.batch_size))
        return sum(self.step(x, y).item() * len(x) for x, y in batches) / len(self.x)


def write_check(training: Training, folder: pathlib.Path, epochs: int) -> None:
    state = {name: value.clone() for name, value in training.model.state_dict().items()}
    save_file(state, folder / "start.safetensors")
    with open(folder / "data.csv", "w", newline="") as file:
        writer = csv.writer(file)
        width = training.x[0].numel()
        writer.writerow([*(f"x{column}" for column in range(width)), "label"])
        for x, y in zip(training.x.flatten(1).tolist(), training.y.tolist()):
            writer.writerow([*x, y])
    losses = [training.running_loss() for _ in range(epochs)]
    (folder / "torch.json").write_text(json.dumps(losses))


def main() -> None:
    call = shared.call()
    torch.set_num_threads(call.threads)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64 if call.experiment.is_double else torch.float32)
    training = Training(call.experiment)
    if call.check:
        write_check(training, call.check, call.check_epochs)
        return
    seconds = []
    for _ in range(call.experiment.calls):
        start = time.perf_counter()
        for _ in range(call.experiment.epochs_per_call):
            training.epoch()
        seconds.append((time.perf_counter() - start) / call.experiment.epochs_per_call)
    shared.report(f"torch {torch.__version__}", seconds[1:])


if __name__ == "__main__":
    main()
