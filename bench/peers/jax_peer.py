"""Trains an experiment's network with JAX: a whole epoch is one compiled program, its steps a `lax.scan`.

With `--check`, it repeats what `torch_peer.py --check` did and writes its own losses (`jax.json`).
"""

import json
import os
import pathlib
import time
from collections.abc import Callable
from typing import Any

import experiment as shared
from experiment import Experiment, Table

CALL = shared.call()
# JAX has no setting for its threads: it takes as many as the cores that it may use. Both are read when it is imported.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: CALL.threads])
os.environ["JAX_ENABLE_X64"] = "1" if CALL.experiment.is_double else "0"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import Array  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402

DTYPE = np.float64 if CALL.experiment.is_double else np.float32
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}
LAYOUT = ("NHWC", "HWIO", "NHWC")  # What XLA is fastest with.
Tree = Any


def apply(layer: Table, parameters: Tree, x: Array) -> Array:
    match layer["type"]:
        case "dense":
            x = x @ parameters["w"] + parameters["b"]
        case "conv2d":
            padding = [(layer.get("padding", 0),) * 2] * 2
            x = jax.lax.conv_general_dilated(x, parameters["w"], (1, 1), padding, dimension_numbers=LAYOUT)
            x = x + parameters["b"]
        case "max_pool2d":
            size = (1, layer["pool_size"], layer["pool_size"], 1)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, size, size, "VALID")
        case "flatten":
            x = x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1)
    return ACTIVATIONS[layer["activation"]](x) if "activation" in layer else x


def shape_of(layer: Table, x: Array) -> tuple[int, ...] | None:
    """The shape of the layer's weights for inputs like `x`; the outputs' axis is the last."""
    match layer["type"]:
        case "dense":
            return (x.shape[-1], layer["units"])
        case "conv2d":
            return (layer["kernel_size"], layer["kernel_size"], x.shape[-1], layer["filters"])
    return None


def start(layers: list[Table], x: Array) -> Tree:
    """Parameters of about the right size, for time does not depend on them."""
    random, parameters = np.random.default_rng(0), []
    for layer in layers:
        shape, own = shape_of(layer, x), {}
        if shape:
            scale = (2 / np.prod(shape[:-1])) ** 0.5
            own = {"w": jnp.asarray(random.normal(0, scale, shape).astype(DTYPE)), "b": jnp.zeros(shape[-1], DTYPE)}
        parameters.append(own)
        x = apply(layer, own, x)
    return parameters


def given(layers: list[Table], path: pathlib.Path) -> Tree:
    """Those of a file in PyTorch's names and shapes."""
    tensors, parameters = load_file(path), []
    for layer in layers:
        own = {}
        if (weight := tensors.get(f"{layer.get('name')}.weight")) is not None:
            axes = (1, 0) if weight.ndim == 2 else (2, 3, 1, 0)
            own = {"w": jnp.asarray(weight.transpose(axes)), "b": jnp.asarray(tensors[f"{layer['name']}.bias"])}
        parameters.append(own)
    return parameters


def data_of(experiment: Experiment, check: pathlib.Path | None) -> tuple[Array, Array]:
    if experiment.is_inline:
        x, y = experiment.inline_data()
        return jnp.asarray(x, DTYPE), jnp.asarray(y, DTYPE)
    if check:
        table = np.loadtxt(check / "data.csv", delimiter=",", skiprows=1, ndmin=2)
        x, y = table[:, :-1].astype(DTYPE), table[:, -1].astype(np.int32)
    else:
        random = np.random.default_rng(0)
        x = random.random((experiment.samples, experiment.width), DTYPE)
        y = random.integers(0, experiment.classes, experiment.samples).astype(np.int32)
    x = jnp.asarray(x).reshape(-1, *experiment.input_shape)
    return (x.transpose(0, 2, 3, 1) if x.ndim == 4 else x), jnp.asarray(y)


Step = Callable[[Tree, Tree, Tree], tuple[Tree, Tree]]


def sgd(table: Table) -> tuple[Callable[[Tree], Tree], Step]:
    rate, momentum = table["learning_rate"], table.get("momentum", 0.0)

    def step(gradient: Tree, velocity: Tree, theta: Tree) -> tuple[Tree, Tree]:
        if momentum == 0:
            return jax.tree.map(lambda p, g: p - rate * g, theta, gradient), velocity
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient)
        return jax.tree.map(lambda p, v: p - rate * v, theta, velocity), velocity

    return (lambda theta: jax.tree.map(jnp.zeros_like, theta) if momentum else ()), step


def adam(table: Table) -> tuple[Callable[[Tree], Tree], Step]:
    rate, beta1, beta2, epsilon = table["learning_rate"], 0.9, 0.999, 1e-8

    def begin(theta: Tree) -> Tree:
        return jnp.zeros((), DTYPE), jax.tree.map(jnp.zeros_like, theta), jax.tree.map(jnp.zeros_like, theta)

    def step(gradient: Tree, state: Tree, theta: Tree) -> tuple[Tree, Tree]:
        number, mean, square = state
        number = number + 1
        mean = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, mean, gradient)
        square = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, square, gradient)
        c1, c2 = 1 - beta1**number, 1 - beta2**number
        move = lambda p, m, v: p - rate * (m / c1) / (jnp.sqrt(v / c2) + epsilon)  # noqa: E731
        return jax.tree.map(move, theta, mean, square), (number, mean, square)

    return begin, step


def loss_of(layers: list[Table], theta: Tree, x: Array, y: Array) -> Array:
    for layer, parameters in zip(layers, theta):
        x = apply(layer, parameters, x)
    if y.ndim > 1:
        return ((x - y) ** 2).mean()
    return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], 1).mean()


def trainer(experiment: Experiment, optimizer: Step) -> Callable[..., tuple[Tree, Tree, Array]]:
    """The compiled program: steps over the batches of samples that `order`, `[steps, batch]`, names."""

    def steps(theta: Tree, state: Tree, x: Array, y: Array, order: Array) -> tuple[Tree, Tree, Array]:
        def step(carry: tuple[Tree, Tree], batch: Array) -> tuple[tuple[Tree, Tree], Array]:
            theta, state = carry
            loss, gradient = jax.value_and_grad(lambda p: loss_of(experiment.layers, p, x[batch], y[batch]))(theta)
            return optimizer(gradient, state, theta), loss

        (theta, state), losses = jax.lax.scan(step, (theta, state), order)
        return theta, state, losses

    def epoch(theta: Tree, state: Tree, x: Array, y: Array, key: Array) -> tuple[Tree, Tree, Array]:
        # A scan takes batches of one size: the last, smaller one is left out.
        count = experiment.samples // experiment.batch_size
        order = jnp.arange(experiment.samples) if experiment.is_inline else jax.random.permutation(key, experiment.samples)
        order = order[: count * experiment.batch_size].reshape(count, experiment.batch_size)
        return steps(theta, state, x, y, jnp.tile(order, (experiment.epochs_per_call, 1)))

    return jax.jit(steps if CALL.check else epoch, donate_argnums=(0, 1))


def check(theta: Tree, state: Tree, x: Array, y: Array, steps: Callable[..., tuple[Tree, Tree, Array]]) -> None:
    order, losses = jnp.arange(len(x)).reshape(-1, CALL.experiment.batch_size), []
    for _ in range(CALL.check_epochs):
        theta, state, batches = steps(theta, state, x, y, order)
        losses.append(float(np.asarray(batches, np.float64).mean()))
    (CALL.check / "jax.json").write_text(json.dumps(losses))


def main() -> None:
    experiment = CALL.experiment
    x, y = data_of(experiment, CALL.check)
    begin, optimizer = {"sgd": sgd, "adam": adam}[experiment.optimizer["type"]](experiment.optimizer)
    theta = given(experiment.layers, CALL.check / "start.safetensors") if CALL.check else start(experiment.layers, x[:2])
    state, train = begin(theta), trainer(experiment, optimizer)
    if CALL.check:
        return check(theta, state, x, y, train)
    seconds = []
    for number in range(experiment.calls):
        begun = time.perf_counter()
        theta, state, losses = train(theta, state, x, y, jax.random.key(number))
        losses.block_until_ready()
        seconds.append((time.perf_counter() - begun) / experiment.epochs_per_call)
    shared.report(f"jax {jax.__version__}", seconds[1:])


if __name__ == "__main__":
    main()
