"""Writes metrics.json: the metrics of scikit-learn on small predictions. Needs `pip install scikit-learn`.

    python metrics.py > metrics.json
"""

import json
import random
import warnings

import sklearn
from sklearn import metrics

warnings.filterwarnings("ignore")  # zero_division and a single sample are asked for on purpose


def counted(targets, said, classes):
    average = {"average": "binary" if classes == 2 else "macro", "zero_division": 0}
    return {
        "accuracy": metrics.accuracy_score(targets, said),
        "confusion_matrix": metrics.confusion_matrix(targets, said, labels=list(range(classes))).tolist(),
        "precision": metrics.precision_score(targets, said, **average),
        "recall": metrics.recall_score(targets, said, **average),
        "f1": metrics.f1_score(targets, said, **average),
    }


def classes(draw, name, samples, count, of=None):
    """Scores a class; with `of`, targets are drawn from those classes alone."""
    scores = [[round(draw.uniform(-2, 2), 3) for _ in range(count)] for _ in range(samples)]
    targets = [draw.choice(of or range(count)) for _ in range(samples)]
    said = [max(range(count), key=row.__getitem__) for row in scores]
    return {"name": name, "outputs": scores, "targets": targets, "metrics": counted(targets, said, count)}


def binary(draw, name, samples, no_yes=False):
    outputs = [[0.25 if no_yes else round(draw.random(), 3)] for _ in range(samples)]
    targets = [[draw.randrange(2)] for _ in range(samples)]
    said = [int(y >= 0.5) for [y] in outputs]
    return {"name": name, "outputs": outputs, "targets": targets, "metrics": counted([t for [t] in targets], said, 2)}


def numbers(draw, name, samples, width, target=None):
    outputs = [[round(draw.uniform(-3, 3), 3) for _ in range(width)] for _ in range(samples)]
    targets = [[round(y + draw.gauss(0, 1), 3) if target is None else target for y in row] for row in outputs]
    found = {
        "rmse": metrics.root_mean_squared_error(targets, outputs),
        "mae": metrics.mean_absolute_error(targets, outputs),
        "r2": metrics.r2_score(targets, outputs),
    }
    return {"name": name, "outputs": outputs, "targets": targets, "metrics": found}


def main():
    draw = random.Random(3)
    cases = {
        "classes": [
            classes(draw, "three classes", 40, 3),
            classes(draw, "two classes", 30, 2),
            classes(draw, "a class that is never meant", 12, 5, of=[0, 1, 3]),
            classes(draw, "a class that does not occur", 2, 6),
            classes(draw, "more than one part", 300, 4),
        ],
        "binary": [binary(draw, "probabilities", 25), binary(draw, "no yes at all", 8, no_yes=True)],
        "numbers": [
            numbers(draw, "one output", 20, 1),
            numbers(draw, "three outputs", 20, 3),
            numbers(draw, "more than one part", 300, 2),
            numbers(draw, "equal targets", 5, 1, target=0.1),
        ],
    }
    print(json.dumps({"scikit_learn": sklearn.__version__, **cases}))


main()
