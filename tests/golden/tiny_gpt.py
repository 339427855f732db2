"""configs/tiny_gpt.toml in Chainrule and in PyTorch: the same start weights, the same order, the same steps.

    cargo build --release
    /tmp/venv/bin/python tests/golden/tiny_gpt.py target/release/runner

Prints both validation losses and their ratio. Needs torch and safetensors from PyPI, and some minutes.
"""

import gzip
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time
import tomllib

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from generate import Function, block

ROOT = pathlib.Path(__file__).parent.parent.parent
CONFIG = ROOT / "configs" / "tiny_gpt.toml"
torch.set_default_dtype(torch.float32)
torch.set_num_threads(2)


class Gpt(nn.Module):
    """Names as in the experiment."""

    def __init__(self, vocabulary, context, width, heads, blocks):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = Function(lambda self, x: x + self.weight, weight=torch.zeros(context, width))
        self.blocks = [f"block_{index + 1}" for index in range(blocks)]
        for name in self.blocks:
            self.add_module(name, block(width, heads, 4 * width, True, True))
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        x = self.positions(self.tokens(x))
        for name in self.blocks:
            x = getattr(self, name)(x)
        return self.norm(x) @ self.tokens.weight.T

    def start(self):
        """The distributions of the experiment; biases and norms start at 0 and 1."""
        for name, parameter in self.named_parameters():
            if "norm" not in name:
                nn.init.zeros_(parameter) if "bias" in name else nn.init.normal_(parameter, std=0.02)


def parts(tokens, context, share):
    """Windows of the training part, then of the validation part, as Chainrule cuts them."""
    cut = len(tokens) - math.floor(share * len(tokens) + 0.5)
    for part in (tokens[:cut], tokens[cut:]):
        count = (len(part) - 1) // context
        yield part[: count * context].view(count, context), part[1 : count * context + 1].view(count, context)


def rate(step, steps, base, warmup):
    if step < warmup:
        return base * step / warmup
    return base * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def loss_of(model, x, y):
    return F.cross_entropy(model(x).flatten(0, 1), y.flatten())


def train(model, experiment, train_part):
    table, batch = experiment["optimizer"], experiment["train"]["batch_size"]
    x, y = train_part
    steps = math.ceil(len(x) / batch) * experiment["train"]["epochs"]
    decays = [p for name, p in model.named_parameters() if "bias" not in name]
    others = [p for name, p in model.named_parameters() if "bias" in name]
    groups = [{"params": decays, "weight_decay": table["weight_decay"]}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, table["beta2"]))
    step = 0
    for _ in range(experiment["train"]["epochs"]):
        for start in range(0, len(x), batch):
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps, table["learning_rate"], experiment["lr_schedule"]["warmup_steps"])
            optimizer.zero_grad()
            loss_of(model, x[start : start + batch], y[start : start + batch]).backward()
            nn.utils.clip_grad_norm_(model.parameters(), table["clip_grad_norm"])
            optimizer.step()
            step += 1


def main():
    experiment = tomllib.loads(CONFIG.read_text())
    text = gzip.decompress((CONFIG.parent / experiment["data"]["path"]).read_bytes()).decode()
    index = {character: number for number, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([index[character] for character in text])
    context, layers = experiment["data"]["context"], experiment["model"]["layers"]
    train_part, validation = parts(tokens, context, experiment["data"]["validation"])
    blocks = [layer for layer in layers if layer["type"] == "transformer_block"]
    torch.manual_seed(1)
    model = Gpt(len(index), context, layers[0]["units"], blocks[0]["heads"], len(blocks))
    model.start()
    with tempfile.TemporaryDirectory() as folder:
        start = pathlib.Path(folder) / "start.safetensors"
        save_file({name: value.clone() for name, value in model.state_dict().items()}, start)
        sets = [f'model.initial_weights="{start}"', "train.shuffle=false"]
        arguments = [argument for value in sets for argument in ("--set", value)]
        out = str(pathlib.Path(folder) / "run")
        subprocess.run([sys.argv[1], "train", str(CONFIG), *arguments, "--out", out, "--progress", "none"], check=True)
        result = json.loads((pathlib.Path(out) / "result.json").read_text())
    ours = result["metrics"]["validation"]["loss"]
    begin = time.time()
    train(model, experiment, train_part)
    seconds = time.time() - begin
    model.eval()
    with torch.no_grad():
        losses = [loss_of(model, x, y).item() * len(x) for x, y in zip(*(part.split(64) for part in validation))]
    theirs = sum(losses) / len(validation[0])
    print(f"Chainrule {ours:.4f} in {result['train_seconds']:.0f} s, PyTorch {theirs:.4f} in {seconds:.0f} s")
    print(f"ratio of the validation losses {ours / theirs:.4f}")


if __name__ == "__main__":
    main()
