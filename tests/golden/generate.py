"""Golden values of layers and whole networks, computed by PyTorch.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install torch numpy safetensors
    /tmp/venv/bin/python tests/golden/generate.py            # everything
    /tmp/venv/bin/python tests/golden/generate.py lstm gpt   # what has one of these words in its name

A layer's file (`layers/NAME.safetensors`, f64) says in its metadata from which keys of an experiment file and for which
inputs Chainrule builds the same layer. It holds the parameters under the layer's own names (`param.NAME`: they go through
`load_state_dict` here), the buffers before and after, the inputs, a projection `u` of the output, and what PyTorch's
autograd makes of L = sum(u * y): `y`, `dx0`, `grad.NAME`.

A network's experiment (`nets/NAME.toml`) is written here once with its data; `NAME.start.safetensors` are its start weights
under Chainrule's names, which PyTorch's module loads unchanged, and `NAME.end.safetensors` and `NAME.sgd.safetensors` are the
weights after ten steps, with the experiment's optimiser and with plain gradient descent.
"""

import json
import math
import pathlib
import sys
import tomllib

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


class Function(nn.Module):
    """A function as a module, with or without parameters of its own."""

    def __init__(self, f, **parameters):
        super().__init__()
        self.f = f
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, *x):
        return self.f(*x) if not self._parameters else self.f(self, *x)


def rnn(kind, features, units, **keys):
    """A recurrent module whose forward takes [n, time, features] and gives what Chainrule's does."""
    sequences = keys.pop("return_sequences", False)
    module = kind(features, units, batch_first=True, **keys)

    def run(self, x):
        y, state = kind.forward(self, x)
        if sequences:
            return y
        h = state[0] if isinstance(state, tuple) else state
        directions = 2 if self.bidirectional else 1
        return torch.cat(list(h[-directions:]), dim=-1)

    module.__class__ = type(kind.__name__, (kind,), {"forward": run})
    return module


def attention(width, heads, causal=False):
    module = nn.MultiheadAttention(width, heads, batch_first=True)

    def run(self, q, k=None, v=None):
        k = q if k is None else k
        v = k if v is None else v
        mask = torch.ones(q.shape[1], k.shape[1]).triu(1).bool() if causal else None
        return nn.MultiheadAttention.forward(self, q, k, v, attn_mask=mask, need_weights=False)[0]

    module.__class__ = type("Attention", (nn.MultiheadAttention,), {"forward": run})
    return module


def block(width, heads, hidden, causal, norm_first):
    module = nn.TransformerEncoderLayer(
        width, heads, hidden, dropout=0.0, activation=F.gelu, batch_first=True, norm_first=norm_first
    )

    def run(self, x):
        mask = torch.ones(x.shape[1], x.shape[1]).triu(1).bool() if causal else None
        return nn.TransformerEncoderLayer.forward(self, x, src_mask=mask)

    module.__class__ = type("Block", (nn.TransformerEncoderLayer,), {"forward": run})
    return module


def sinusoids(time, width):
    position = torch.arange(time).unsqueeze(1)
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    table = torch.zeros(time, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
    return table


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.second = nn.Linear(6, 4)

    def forward(self, x):
        return x + self.second(torch.tanh(self.first(x)))


def indices(n, *shape, limit):
    return torch.arange(n * math.prod(shape)).mul(7).remainder(limit).reshape(n, *shape)


def cases():
    """name, keys, module, input shapes (without the batch); optional: rows, phase, inputs."""
    yield "dense", 'type = "dense"\nunits = 3', nn.Linear(5, 3), [[5]]
    yield "dense_on_time", 'type = "dense"\nunits = 2\nbias = false', nn.Linear(3, 2, bias=False), [[4, 3]]
    for name, keys, module, shape in [
        ("conv1d", "filters = 4\nkernel_size = 3", nn.Conv1d(3, 4, 3), [3, 9]),
        (
            "conv1d_strided",
            "filters = 4\nkernel_size = 3\nstride = 2\npadding = 2\ndilation = 2\ngroups = 2",
            nn.Conv1d(2, 4, 3, stride=2, padding=2, dilation=2, groups=2),
            [2, 11],
        ),
    ]:
        yield name, f'type = "conv1d"\n{keys}', module, [shape]
    for name, keys, module, shape in [
        ("conv2d", "filters = 4\nkernel_size = 3", nn.Conv2d(3, 4, 3), [3, 6, 7]),
        ("conv2d_same", 'filters = 2\nkernel_size = 4\npadding = "same"', nn.Conv2d(1, 2, 4, padding="same"), [1, 6, 5]),
        (
            "conv2d_strided",
            "filters = 6\nkernel_size = [3, 2]\nstride = [2, 3]\npadding = [1, 2]\ndilation = [1, 2]\ngroups = 2\nbias = false",
            nn.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 2), dilation=(1, 2), groups=2, bias=False),
            [4, 7, 8],
        ),
        (
            "conv2d_depthwise",
            "filters = 3\nkernel_size = 3\npadding = 1\ngroups = 3",
            nn.Conv2d(3, 3, 3, padding=1, groups=3),
            [3, 5, 6],
        ),
    ]:
        yield name, f'type = "conv2d"\n{keys}', module, [shape]
    for name, keys, module, shape in [
        ("conv_transpose2d", "filters = 3\nkernel_size = 3", nn.ConvTranspose2d(2, 3, 3), [2, 4, 5]),
        (
            "conv_transpose2d_strided",
            "filters = 4\nkernel_size = 3\nstride = 2\npadding = 1\noutput_padding = 1\ngroups = 2",
            nn.ConvTranspose2d(4, 4, 3, stride=2, padding=1, output_padding=1, groups=2),
            [4, 4, 3],
        ),
    ]:
        yield name, f'type = "conv_transpose2d"\n{keys}', module, [shape]
    yield "max_pool1d", 'type = "max_pool1d"\npool_size = 3\nstride = 2', nn.MaxPool1d(3, 2), [[2, 9]]
    yield "max_pool2d", 'type = "max_pool2d"\npool_size = 2', nn.MaxPool2d(2), [[2, 6, 5]]
    yield "max_pool2d_padded", 'type = "max_pool2d"\npool_size = 3\nstride = 2\npadding = 1', nn.MaxPool2d(3, 2, 1), [[2, 6, 7]]
    yield "avg_pool1d", 'type = "avg_pool1d"\npool_size = 2\nstride = 1\npadding = 1', nn.AvgPool1d(2, 1, 1), [[2, 7]]
    yield "avg_pool2d", 'type = "avg_pool2d"\npool_size = 3\nstride = 2\npadding = 1', nn.AvgPool2d(3, 2, 1), [[2, 6, 7]]
    yield "global_avg_pool", 'type = "global_avg_pool"', Function(lambda x: x.mean((2, 3))), [[3, 4, 5]]
    yield "global_max_pool", 'type = "global_max_pool"', Function(lambda x: x.amax((2, 3))), [[3, 4, 5]]
    yield "upsample2d", 'type = "upsample2d"\nfactor = 2', nn.Upsample(scale_factor=2, mode="nearest"), [[2, 3, 4]]
    yield "flatten", 'type = "flatten"', nn.Flatten(), [[2, 3, 4]]
    yield "reshape", 'type = "reshape"\nshape = [4, 6]', Function(lambda x: x.reshape(-1, 4, 6)), [[2, 3, 4]]
    yield "permute", 'type = "permute"\naxes = [2, 0, 1]', Function(lambda x: x.permute(0, 3, 1, 2)), [[2, 3, 4]]
    yield "zero_pad2d", 'type = "zero_pad2d"\npadding = [[1, 2], [3, 0]]', Function(lambda x: F.pad(x, (3, 0, 1, 2))), [[2, 3, 4]]
    for phase in ["train", "evaluate"]:
        yield f"batch_norm_{phase}", 'type = "batch_norm"', nn.BatchNorm1d(4), [[4]], {"phase": phase}
        yield f"batch_norm_2d_{phase}", 'type = "batch_norm"', nn.BatchNorm2d(3), [[3, 4, 5]], {"phase": phase}
    yield "layer_norm", 'type = "layer_norm"', nn.LayerNorm(6), [[3, 6]]
    yield "group_norm", 'type = "group_norm"\ngroups = 2', nn.GroupNorm(2, 4), [[4, 3, 2]]
    yield "rms_norm", 'type = "rms_norm"\nepsilon = 1e-5', nn.RMSNorm(6, eps=1e-5), [[3, 6]]
    yield "dropout", 'type = "dropout"\nrate = 0.4', nn.Dropout(0.4), [[6]], {"phase": "evaluate"}
    yield "spatial_dropout", 'type = "spatial_dropout"\nrate = 0.4', nn.Dropout2d(0.4), [[2, 3, 4]], {"phase": "evaluate"}
    yield "gaussian_noise", 'type = "gaussian_noise"\nstd = 0.4', nn.Identity(), [[6]], {"phase": "evaluate"}
    yield "prelu", 'type = "prelu"', nn.PReLU(), [[3, 4]]
    yield "prelu_per_channel", 'type = "prelu"\nper_channel = true', nn.PReLU(3), [[3, 4]]
    yield "softmax", 'type = "softmax"\naxis = 0', nn.Softmax(1), [[3, 4]]
    yield "add", 'type = "add"', Function(lambda a, b, c: a + b + c), [[2, 3]] * 3
    yield "subtract", 'type = "subtract"', Function(lambda a, b: a - b), [[2, 3]] * 2
    yield "average", 'type = "average"', Function(lambda a, b, c: (a + b + c) / 3), [[2, 3]] * 3
    yield "multiply", 'type = "multiply"', Function(lambda a, b, c: a * b * c), [[2, 3]] * 3
    yield "concat", 'type = "concat"\naxis = 1', Function(lambda a, b: torch.cat([a, b], 2)), [[2, 3], [2, 4]]
    yield "embedding", 'type = "embedding"\nvocabulary = 7\nunits = 3', nn.Embedding(7, 3), [[5]], {
        "inputs": [indices(4, 5, limit=7)]
    }
    yield "embedding_padded", 'type = "embedding"\nvocabulary = 7\nunits = 3\npadding_index = 2', nn.Embedding(7, 3, 2), [[5]], {
        "inputs": [indices(4, 5, limit=7)]
    }
    yield "positional_embedding", 'type = "positional_embedding"', Function(
        lambda self, x: x + self.weight, weight=torch.randn(5, 4)
    ), [[5, 4]]
    yield "sinusoidal_positions", 'type = "sinusoidal_positions"', Function(lambda x: x + sinusoids(5, 6)), [[5, 6]]
    for kind, cell in [("simple_rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)]:
        yield kind, f'type = "{kind}"\nunits = 4', rnn(cell, 3, 4), [[5, 3]]
        yield f"{kind}_sequences", f'type = "{kind}"\nunits = 4\nreturn_sequences = true', rnn(
            cell, 3, 4, return_sequences=True
        ), [[5, 3]]
        yield f"{kind}_stacked", (
            f'type = "{kind}"\nunits = 3\nlayers = 2\nbidirectional = true\nreturn_sequences = true'
        ), rnn(cell, 2, 3, num_layers=2, bidirectional=True, return_sequences=True), [[4, 2]]
        yield f"{kind}_last", f'type = "{kind}"\nunits = 3\nbidirectional = true', rnn(cell, 2, 3, bidirectional=True), [[4, 2]]
    yield "attention", 'type = "multi_head_attention"\nheads = 2', attention(6, 2), [[5, 6]]
    yield "attention_causal", 'type = "multi_head_attention"\nheads = 3\ncausal = true', attention(6, 3, True), [[5, 6]]
    yield "attention_cross", 'type = "multi_head_attention"\nheads = 2', attention(4, 2), [[3, 4], [5, 4]]
    keys = 'type = "transformer_block"\nheads = 2\nfeed_forward = 8\ndropout = 0.0'
    yield "transformer_block", f'{keys}\nnorm = "pre"\ncausal = true', block(6, 2, 8, True, True), [[4, 6]]
    yield "transformer_block_post", f'{keys}\nnorm = "post"', block(6, 2, 8, False, False), [[4, 6]]
    yield "residual", (
        'type = "residual"\nlayers = [\n  { type = "dense", name = "first", units = 6, activation = "tanh" },\n'
        '  { type = "dense", name = "second", units = 4 },\n]'
    ), Residual(), [[3, 4]]


def randomize(module):
    """Every parameter and buffer away from values that hide mistakes, such as 1 and 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.5 + 0.1)
        for name, buffer in module.named_buffers():
            if buffer.dtype.is_floating_point:
                buffer.copy_(torch.rand_like(buffer) + 0.5)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()


def buffers(module):
    floating = {name: value for name, value in module.named_buffers() if value.dtype.is_floating_point}
    return {name: value.clone() for name, value in floating.items()}


def layer_case(name, keys, module, shapes, options=None):
    options = options or {}
    phase = options.get("phase", "train")
    rows = options.get("rows", 4)
    torch.manual_seed(sum(name.encode()))
    randomize(module)
    module.train(phase == "train")
    tensors = {f"buffer.{key}": value for key, value in buffers(module).items()}
    given = options.get("inputs")
    inputs = given or [torch.randn(rows, *shape).requires_grad_() for shape in shapes]
    y = module(*inputs)
    u = torch.randn(y.shape)
    (u * y).sum().backward()
    tensors |= {"y": y, "u": u}
    for index, x in enumerate(inputs):
        tensors[f"x{index}"] = x.to(torch.float64)
        if x.grad is not None:
            tensors[f"dx{index}"] = x.grad
    for key, parameter in module.named_parameters():
        tensors[f"param.{key}"] = parameter
        tensors[f"grad.{key}"] = parameter.grad
    tensors |= {f"buffer_after.{key}": value for key, value in buffers(module).items()}
    tensors = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    metadata = {"keys": keys, "phase": phase, "inputs": json.dumps(shapes)}
    path = HERE / "layers" / f"{name}.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(tensors, path, metadata)


class Gpt(nn.Module):
    """Names as in nets/gpt.toml."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(9, 8)
        self.positions = Function(lambda self, x: x + self.weight, weight=torch.zeros(6, 8))
        self.block_1 = block(8, 2, 16, True, True)
        self.block_2 = block(8, 2, 16, True, True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        x = self.positions(self.tokens(x.long()))
        x = self.norm(self.block_2(self.block_1(x)))
        return x @ self.tokens.weight.T


class Sequential(nn.Sequential):
    """Modules with names, some of which only reshape."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def networks():
    """name, model and optimiser as TOML, module, data (x, y, loss)."""
    torch.manual_seed(5)
    x, y = torch.randn(12, 4), torch.randn(12, 2)
    yield "mlp", """
[model]
layers = [
  { type = "dense", name = "hidden", units = 5, activation = "tanh" },
  { type = "dense", name = "output", units = 2 },
]

[loss]
type = "mse"

[optimizer]
type = "sgd"
learning_rate = 0.1
momentum = 0.9
""", Sequential(hidden=nn.Linear(4, 5), tanh=nn.Tanh(), output=nn.Linear(5, 2)), (x, y, F.mse_loss)
    x, y = torch.randn(12, 36), torch.arange(12) % 3
    yield "cnn", """
[model]
input_shape = [1, 6, 6]
layers = [
  { type = "conv2d", name = "conv", filters = 3, kernel_size = 3, padding = 1, bias = false },
  { type = "batch_norm", name = "norm", activation = "relu" },
  { type = "max_pool2d", pool_size = 2 },
  { type = "flatten" },
  { type = "dense", name = "output", units = 3 },
]

[loss]
type = "cross_entropy"

[optimizer]
type = "adam"
learning_rate = 0.01
""", Sequential(
        image=nn.Unflatten(1, (1, 6, 6)),
        conv=nn.Conv2d(1, 3, 3, padding=1, bias=False),
        norm=nn.BatchNorm2d(3),
        relu=nn.ReLU(),
        pool=nn.MaxPool2d(2),
        flat=nn.Flatten(),
        output=nn.Linear(27, 3),
    ), (x, y, F.cross_entropy)
    x, y = torch.randn(12, 10), torch.randn(12, 1)
    for kind, cell, optimizer in [
        ("lstm", nn.LSTM, 'type = "rmsprop"\nlearning_rate = 0.01'),
        ("gru", nn.GRU, 'type = "adamw"\nlearning_rate = 0.01\nweight_decay = 0.1'),
    ]:
        yield kind, f"""
[model]
input_shape = [5, 2]
layers = [
  {{ type = "{kind}", name = "memory", units = 4 }},
  {{ type = "dense", name = "output", units = 1 }},
]

[loss]
type = "mse"

[optimizer]
{optimizer}
""", Sequential(sequence=nn.Unflatten(1, (5, 2)), memory=rnn(cell, 2, 4), output=nn.Linear(4, 1)), (x, y, F.mse_loss)
    x = indices(12, 6, limit=9)
    y = (x * x + 1) % 9
    yield "gpt", """
[model]
layers = [
  { type = "embedding", name = "tokens", vocabulary = 9, units = 8 },
  { type = "positional_embedding", name = "positions" },
  { type = "transformer_block", name = "block_1", heads = 2, feed_forward = 16, causal = true, norm = "pre", dropout = 0.0 },
  { type = "transformer_block", name = "block_2", heads = 2, feed_forward = 16, causal = true, norm = "pre", dropout = 0.0 },
  { type = "layer_norm", name = "norm" },
  { type = "dense", name = "head", units = 9, bias = false, tie = "tokens" },
]

[loss]
type = "cross_entropy"

[optimizer]
type = "adamw"
learning_rate = 0.01
""", Gpt(), (x, y, lambda scores, y: F.cross_entropy(scores.flatten(0, 1), y.flatten()))


def optimizer_of(table, parameters):
    keys = {key: value for key, value in table.items() if key not in ("type", "learning_rate")}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    return kind[table["type"]](parameters, lr=table["learning_rate"], **keys)


def rows(values):
    lines = [", ".join(repr(round(number, 3)) for number in row) for row in values]
    return "[\n" + "".join(f"  [{line}],\n" for line in lines) + "]"


def network(name, text, module, data):
    x, y, loss = data
    folder = HERE / "nets"
    folder.mkdir(exist_ok=True)
    targets = str(y.tolist()) if y.ndim == 1 else rows(y.tolist())
    path = folder / f"{name}.toml"
    path.write_text(
        f"# Written by ../generate.py; ten steps of it are compared with PyTorch's.\n"
        f'name  = "{name}"\ndtype = "f64"\n\n[data]\ntype = "inline"\nx = {rows(x.tolist())}\ny = {targets}\n{text}\n'
        f"[train]\nepochs = 5\nbatch_size = 6\nshuffle = false\n"
    )
    experiment = tomllib.loads(path.read_text())
    x = torch.tensor(experiment["data"]["x"], dtype=torch.float64)
    y = torch.tensor(experiment["data"]["y"])
    torch.manual_seed(sum(name.encode()))
    randomize(module)
    start = {key: value.clone() for key, value in module.state_dict().items() if value.dtype.is_floating_point}
    save_file(start, folder / f"{name}.start.safetensors")
    for suffix, table in [("end", experiment["optimizer"]), ("sgd", {"type": "sgd", "learning_rate": 0.05})]:
        missing, unexpected = module.load_state_dict(load_file(folder / f"{name}.start.safetensors"), strict=False)
        assert not unexpected and all("num_batches" in key for key in missing), (missing, unexpected)
        module.train()
        optimizer = optimizer_of(table, module.parameters())
        for _ in range(experiment["train"]["epochs"]):
            for batch in range(0, len(x), 6):
                optimizer.zero_grad()
                loss(module(x[batch : batch + 6]), y[batch : batch + 6]).backward()
                optimizer.step()
        end = {key: value.detach().clone() for key, value in module.state_dict().items() if value.dtype.is_floating_point}
        save_file(end, folder / f"{name}.{suffix}.safetensors")


def main():
    words = sys.argv[1:]
    wanted = lambda name: not words or any(word in name for word in words)
    for case in cases():
        if wanted(case[0]):
            layer_case(*case)
    for case in networks():
        if wanted(case[0]):
            network(*case)


if __name__ == "__main__":
    main()
