"""Writes optimizers.json: what PyTorch's optimisers, schedules and clipping do. Needs `pip install torch numpy`.

    python optimizers.py > optimizers.json

Each case has the keys of `[optimizer]` or `[lr_schedule]` that ask for the same thing.
"""

import json

import torch
from torch import optim
from torch.optim import lr_scheduler as schedule

torch.set_default_dtype(torch.float64)

START = [-1.2, 1.0, 0.8, -0.5, 0.3, 1.4]
RATE = 0.5  # of the schedules
STEPS_PER_EPOCH = 10
EPOCHS = 10


def loss(x):
    """Rosenbrock's valley through six numbers, less steep than his."""
    return (10 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def descend(make, clip=lambda parameters: None):
    """The numbers after 1, 10 and 100 steps."""
    x = torch.tensor(START, requires_grad=True)
    optimizer = make([x])
    found = {}
    for step in range(1, 101):
        optimizer.zero_grad()
        loss(x).backward()
        clip([x])
        optimizer.step()
        if step in (1, 10, 100):
            found[step] = x.tolist()
    return found


def optimizers():
    families = [
        ("sgd", optim.SGD, 2e-3, {}),
        ("sgd", optim.SGD, 2e-3, {"momentum": 0.9}),
        ("sgd", optim.SGD, 2e-3, {"momentum": 0.9, "nesterov": True}),
        ("adam", optim.Adam, 0.05, {}),
        ("adam", optim.Adam, 0.05, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}),
        ("adamw", optim.AdamW, 0.05, {}),
        ("adamw", optim.AdamW, 0.05, {"beta1": 0.7, "beta2": 0.9}),
        ("rmsprop", optim.RMSprop, 0.01, {}),
        # With longer steps it bounces so that a last bit of the start is seen in the sixth digit after 100 steps.
        ("rmsprop", optim.RMSprop, 2e-3, {"rho": 0.9, "epsilon": 1e-4}),
        ("rmsprop", optim.RMSprop, 2e-3, {"momentum": 0.9}),
        ("rmsprop", optim.RMSprop, 0.01, {"centered": True}),
        ("rmsprop", optim.RMSprop, 2e-3, {"momentum": 0.9, "centered": True}),
    ]
    for name, kind, rate, keys in families:
        for decay in ({}, {"weight_decay": 0.1}):
            torch_keys = dict(keys, **decay)
            betas = (torch_keys.pop("beta1", 0.9), torch_keys.pop("beta2", 0.999))
            if name.startswith("adam"):
                torch_keys["betas"] = betas
            for ours, theirs in (("epsilon", "eps"), ("rho", "alpha")):
                if ours in torch_keys:
                    torch_keys[theirs] = torch_keys.pop(ours)
            make = lambda parameters: kind(parameters, lr=rate, **torch_keys)
            toml = {"type": name, "learning_rate": rate, **keys, **decay}
            yield {"keys": toml, "after": descend(make)}


def clipped():
    for keys in ({"clip_grad_norm": 1.5}, {"clip_grad_norm": 20.0}, {"clip_grad_value": 3.0},
                 {"clip_grad_value": 3.0, "clip_grad_norm": 4.0}):
        def clip(parameters):
            if "clip_grad_value" in keys:
                torch.nn.utils.clip_grad_value_(parameters, keys["clip_grad_value"])
            if "clip_grad_norm" in keys:
                torch.nn.utils.clip_grad_norm_(parameters, keys["clip_grad_norm"])

        make = lambda parameters: optim.SGD(parameters, lr=5e-3)
        yield {"keys": {"type": "sgd", "learning_rate": 5e-3, **keys}, "after": descend(make, clip)}


def rates(make, steps):
    optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = make(optimizer)
    found = []
    for step in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    return found


def after_warmup(steps, factor, then):
    def make(optimizer):
        # LinearLR refuses a factor of 0.
        warmup = schedule.LambdaLR(optimizer, lambda step: min(1.0, factor + (1 - factor) * step / steps))
        if factor > 0:
            warmup = schedule.LinearLR(optimizer, factor, 1.0, steps)
        return schedule.SequentialLR(optimizer, [warmup, then(optimizer)], [steps])

    return make


def schedules():
    all_steps = STEPS_PER_EPOCH * EPOCHS
    cases = [
        ({"type": "constant"}, lambda o: schedule.ConstantLR(o, 1.0), all_steps),
        ({"type": "step", "every_steps": 7, "factor": 0.5}, lambda o: schedule.StepLR(o, 7, 0.5), 60),
        ({"type": "step", "every_epochs": 3}, lambda o: schedule.StepLR(o, 30), all_steps),
        ({"type": "multistep", "milestone_steps": [4, 9, 30], "factor": 0.3},
         lambda o: schedule.MultiStepLR(o, [4, 9, 30], 0.3), 60),
        ({"type": "multistep", "milestone_epochs": [2, 4.5]}, lambda o: schedule.MultiStepLR(o, [20, 45]), 60),
        ({"type": "exponential", "factor": 0.9, "decay_steps": 1}, lambda o: schedule.ExponentialLR(o, 0.9), 60),
        ({"type": "exponential", "factor": 0.9**10, "decay_epochs": 1},
         lambda o: schedule.ExponentialLR(o, 0.9), 60),
        ({"type": "cosine"}, lambda o: schedule.CosineAnnealingLR(o, all_steps), all_steps),
        ({"type": "cosine", "decay_epochs": 5, "final_factor": 0.1},
         lambda o: schedule.CosineAnnealingLR(o, 50, RATE * 0.1), 50),
        ({"type": "cosine", "decay_steps": 13, "restarts": True, "final_factor": 0.02},
         lambda o: schedule.CosineAnnealingWarmRestarts(o, 13, 1, RATE * 0.02), all_steps),
        ({"type": "cosine", "decay_epochs": 1, "restarts": True, "restart_growth": 2},
         lambda o: schedule.CosineAnnealingWarmRestarts(o, 10, 2), all_steps),
        ({"type": "linear"}, lambda o: schedule.LinearLR(o, 1.0, 0.0, all_steps), all_steps),
        ({"type": "linear", "decay_steps": 30, "final_factor": 0.25},
         lambda o: schedule.LinearLR(o, 1.0, 0.25, 30), 60),
        ({"type": "polynomial", "decay_steps": 40, "power": 2.5}, lambda o: schedule.PolynomialLR(o, 40, 2.5), 60),
        ({"type": "one_cycle"}, lambda o: schedule.OneCycleLR(o, RATE, total_steps=all_steps, cycle_momentum=False),
         all_steps),
        ({"type": "one_cycle", "cycle_steps": 37, "rise": 0.45, "start_factor": 0.1, "final_factor": 0.001,
          "anneal": "linear"},
         lambda o: schedule.OneCycleLR(o, RATE, total_steps=37, pct_start=0.45, div_factor=10,
                                       final_div_factor=100, anneal_strategy="linear", cycle_momentum=False), 37),
        ({"type": "constant", "warmup_steps": 12, "warmup_factor": 0.2},
         lambda o: schedule.LinearLR(o, 0.2, 1.0, 12), 60),
        ({"type": "cosine", "warmup_steps": 15, "warmup_factor": 0.1},
         after_warmup(15, 0.1, lambda o: schedule.CosineAnnealingLR(o, all_steps - 15)), all_steps),
        ({"type": "cosine", "warmup_epochs": 2},
         after_warmup(20, 0.0, lambda o: schedule.CosineAnnealingLR(o, all_steps - 20)), all_steps),
        ({"type": "step", "every_steps": 9, "factor": 0.5, "warmup_epochs": 0.5, "warmup_factor": 0.25},
         after_warmup(5, 0.25, lambda o: schedule.StepLR(o, 9, 0.5)), 60),
        # PyTorch has no inverse root; the formula of Vaswani et al. (2017) in its LambdaLR.
        ({"type": "inverse_sqrt", "warmup_steps": 20},
         lambda o: schedule.LambdaLR(o, lambda step: min(step / 20, (20 / max(step, 1)) ** 0.5)), all_steps),
    ]
    for keys, make, steps in cases:
        yield {"keys": keys, "rates": rates(make, steps)}


def main():
    golden = {
        "torch": torch.__version__,
        "start": START,
        "learning_rate": RATE,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "epochs": EPOCHS,
        "optimizers": list(optimizers()) + list(clipped()),
        "schedules": list(schedules()),
    }
    # A line a case.
    lines = []
    for key, value in golden.items():
        if isinstance(value, list) and isinstance(value[0], dict):
            value = "[\n" + ",\n".join("  " + json.dumps(case) for case in value) + "\n ]"
        else:
            value = json.dumps(value)
        lines.append(f' "{key}": {value}')
    print("{\n" + ",\n".join(lines) + "\n}")


if __name__ == "__main__":
    main()
