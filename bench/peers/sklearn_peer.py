"""Trains an experiment's dense network with scikit-learn's MLPClassifier."""

import time
import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

import experiment as shared
from experiment import Experiment


def model_of(experiment: Experiment) -> MLPClassifier:
    table = experiment.optimizer
    sgd = {"momentum": table.get("momentum", 0.0), "nesterovs_momentum": False} if table["type"] == "sgd" else {}
    return MLPClassifier(
        [layer["units"] for layer in experiment.layers[:-1]],
        solver=table["type"],
        learning_rate_init=table["learning_rate"],
        batch_size=experiment.batch_size,
        alpha=0.0,
        # A fit is an epoch that goes on where the last ended, and none of them stops early.
        max_iter=1,
        warm_start=True,
        tol=0.0,
        n_iter_no_change=10**6,
        random_state=0,
        **sgd,
    )


def main() -> None:
    call = shared.call()
    experiment, random = call.experiment, np.random.default_rng(0)
    x = random.random((experiment.samples, experiment.width), np.float32)
    y = random.integers(0, experiment.classes, experiment.samples)
    model, seconds = model_of(experiment), []
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(call.threads):
        for _ in range(experiment.calls):
            start = time.perf_counter()
            model.fit(x, y)
            seconds.append(time.perf_counter() - start)
    assert model.coefs_[0].dtype == np.float32
    shared.report(f"scikit-learn {sklearn.__version__}", seconds[1:])


if __name__ == "__main__":
    main()
