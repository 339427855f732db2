"""W6: predictions of a model of Chainrule's by PyTorch, onnxruntime or numpy, all from its `model.safetensors`."""

import argparse
import json
import pathlib
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from threadpoolctl import threadpool_limits

CALLS = 2000
Floats = NDArray[np.float32]
Predict = Callable[[Floats], Floats]


def inputs(rows: int, width: int) -> Floats:
    """Those of `benches/inference.rs`."""
    at = np.arange(rows * width, dtype=np.int64)
    return ((at * 37 + at // 784) % 251 / 251.0).astype(np.float32).reshape(rows, width)


def by_torch(tensors: dict[str, Floats], threads: int) -> tuple[str, Predict]:
    import torch

    torch.set_num_threads(threads)
    hidden = torch.nn.Linear(*reversed(tensors["hidden.weight"].shape))
    output = torch.nn.Linear(*reversed(tensors["output.weight"].shape))
    model = torch.nn.Sequential(hidden, torch.nn.ReLU(), output).eval()
    with torch.no_grad():
        for layer, name in [(hidden, "hidden"), (output, "output")]:
            layer.weight.copy_(torch.from_numpy(tensors[f"{name}.weight"]))
            layer.bias.copy_(torch.from_numpy(tensors[f"{name}.bias"]))

    def predict(x: Floats) -> Floats:
        with torch.inference_mode():
            return model(torch.from_numpy(x)).numpy()

    return f"torch {torch.__version__}", predict


def by_onnxruntime(tensors: dict[str, Floats], threads: int) -> tuple[str, Predict]:
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Gemm", ["x", "hidden.weight", "hidden.bias"], ["z"], transB=1),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("Gemm", ["h", "output.weight", "output.bias"], ["y"], transB=1),
    ]
    number = TensorProto.FLOAT
    x = helper.make_tensor_value_info("x", number, ["rows", tensors["hidden.weight"].shape[1]])
    y = helper.make_tensor_value_info("y", number, ["rows", len(tensors["output.bias"])])
    weights = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "w6", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return f"onnxruntime {onnxruntime.__version__}", lambda x: session.run(None, {"x": x})[0]


def by_numpy(tensors: dict[str, Floats], threads: int) -> tuple[str, Predict]:
    w1, w2 = (np.ascontiguousarray(tensors[f"{name}.weight"].T) for name in ("hidden", "output"))
    b1, b2 = tensors["hidden.bias"], tensors["output.bias"]
    threadpool_limits(threads)
    return f"numpy {np.__version__}", lambda x: np.maximum(x @ w1 + b1, 0) @ w2 + b2


PEERS = {"pytorch": by_torch, "onnxruntime": by_onnxruntime, "numpy": by_numpy}


def one_row(predict: Predict, row: Floats) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        predict(row)
    return (time.perf_counter() - start) / CALLS * 1e6


def bulk(predict: Predict, x: Floats) -> float:
    start = time.perf_counter()
    predict(x).argmax(1)
    return len(x) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    tensors = load_file(arguments.model)
    version, predict = PEERS[arguments.peer](tensors, arguments.threads)
    x = inputs(arguments.rows, tensors["hidden.weight"].shape[1])
    one_row(predict, x[:1])
    counts = np.bincount(predict(x).argmax(1), minlength=len(tensors["output.bias"]))
    for _ in range(arguments.repeats):
        measured = {"one_row_us": one_row(predict, x[:1]), "rows_per_second": bulk(predict, x)}
        print(json.dumps({**measured, "version": version, "classes": counts.tolist()}))


if __name__ == "__main__":
    main()
