"""Writes optimizers.json: what PyTorch's optimisers, schedules, clipping and averages do. Needs `pip install torch numpy`.

    python optimizers.py > optimizers.json

Each case has the keys of `[optimizer]` or `[lr_schedule]` that ask for the same thing.
"""

import json

import torch
from torch import optim
from torch.optim import lr_scheduler as schedule
from torch.optim import swa_utils

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
        ("adagrad", optim.Adagrad, 0.1, {}),
        ("adagrad", optim.Adagrad, 0.2, {"lr_decay": 0.05, "initial_accumulator_value": 0.3, "epsilon": 1e-3}),
        ("adadelta", optim.Adadelta, 1.0, {}),
        # With rho 0.8 and epsilon 1e-4 a last bit of the start would be seen in the sixth digit.
        ("adadelta", optim.Adadelta, 0.5, {"rho": 0.95, "epsilon": 1e-5}),
        ("amsgrad", optim.Adam, 0.05, {}),
        ("amsgrad", optim.Adam, 0.05, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}),
        ("nadam", optim.NAdam, 0.02, {}),
        ("nadam", optim.NAdam, 5e-3, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "momentum_decay": 0.1}),
        ("adamax", optim.Adamax, 0.02, {}),
        ("adamax", optim.Adamax, 0.02, {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}),
        ("rprop", optim.Rprop, 0.01, {}),
        ("rprop", optim.Rprop, 0.1, {"eta_minus": 0.4, "eta_plus": 1.3}),
        ("rprop", optim.Rprop, 0.02, {"min_step_size": 1e-3, "max_step_size": 0.03}),
    ]
    renamed = {"epsilon": "eps", "rho": "alpha"}
    for name, kind, rate, keys in families:
        # PyTorch's Rprop has no decay.
        for decay in ({}, {"weight_decay": 0.1}) if name != "rprop" else ({},):
            torch_keys = dict(keys, **decay)
            pairs = {
                "betas": (torch_keys.pop("beta1", 0.9), torch_keys.pop("beta2", 0.999)),
                "etas": (torch_keys.pop("eta_minus", 0.5), torch_keys.pop("eta_plus", 1.2)),
                "step_sizes": (torch_keys.pop("min_step_size", 1e-6), torch_keys.pop("max_step_size", 50)),
            }
            if name in ("adam", "adamw", "amsgrad", "nadam", "adamax"):
                torch_keys["betas"] = pairs["betas"]
            if name == "rprop":
                torch_keys.update(etas=pairs["etas"], step_sizes=pairs["step_sizes"])
            if name == "amsgrad":
                torch_keys["amsgrad"] = True
            for ours, theirs in renamed.items():
                if ours in torch_keys and (ours, name) != ("rho", "adadelta"):
                    torch_keys[theirs] = torch_keys.pop(ours)
            make = lambda parameters: kind(parameters, lr=rate, **torch_keys)
            toml = {"type": name, "learning_rate": rate, **keys, **decay}
            yield {"keys": toml, "after": descend(make)}


def convex(x):
    """A bowl of curvatures from 1 to 50, bent."""
    curvatures = torch.tensor([1.0, 2.0, 5.0, 10.0, 20.0, 50.0])
    return (curvatures * x**2).sum() / 2 + x.exp().sum().log()


def lbfgs():
    """One iteration a step, no line search, and no tolerance that ends it."""
    for function, rate, keys in [(convex, 1.0, {}), (convex, 1.0, {"history_size": 2}), (convex, 0.7, {}),
                                 (loss, 0.2, {}), (loss, 0.3, {"history_size": 3}), (loss, 0.05, {})]:
        x = torch.tensor(START, requires_grad=True)
        optimizer = optim.LBFGS([x], lr=rate, max_iter=1, tolerance_grad=0, tolerance_change=0,
                                history_size=keys.get("history_size", 10))

        def closure():
            optimizer.zero_grad()
            value = function(x)
            value.backward()
            return value

        found = {}
        for step in range(1, 101):
            optimizer.step(closure)
            if step in (1, 5, 10, 100):
                found[step] = x.tolist()
        toml = {"type": "lbfgs", "learning_rate": rate, **keys}
        yield {"keys": toml, "convex": function is convex, "after": found}


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


def plateaus():
    """Learning rates, 1 at first, after each of the values that are watched."""
    falling = [1.0, 0.9, 0.899, 0.8999, 0.8, 0.801, 0.8, 0.81, 0.82, 0.79, 0.79, 0.79, 0.79, 0.79, 0.79, 0.5, 0.5,
               0.5, 0.5, 0.5, 0.499, 0.498, 0.497, 0.496, 0.495, 0.3, 0.31, 0.32, 0.33, 0.34, 0.35, 0.36]
    rising = [1.5 - value for value in falling]
    cases = [
        ({"factor": 0.1, "patience": 10, "threshold": 1e-4, "cooldown": 0, "final_factor": 0.0}, falling, False),
        ({"factor": 0.5, "patience": 1, "threshold": 1e-4, "cooldown": 0, "final_factor": 0.0}, falling, False),
        ({"factor": 0.5, "patience": 1, "threshold": 0.05, "cooldown": 2, "final_factor": 0.1}, falling, False),
        ({"factor": 0.3, "patience": 0, "threshold": 0.01, "cooldown": 1, "final_factor": 1e-3}, rising, True),
        ({"factor": 0.9, "patience": 2, "threshold": 0.0, "cooldown": 3, "final_factor": 0.0}, rising, True),
    ]
    for keys, values, larger in cases:
        optimizer = optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        keys_there = {key: keys[key] for key in ("factor", "patience", "threshold", "cooldown")}
        scheduler = schedule.ReduceLROnPlateau(
            optimizer, "max" if larger else "min", min_lr=keys["final_factor"], eps=0.0, **keys_there)
        rates = []
        for value in values:
            optimizer.step()
            scheduler.step(value)
            rates.append(optimizer.param_groups[0]["lr"])
        yield {"plateau": keys, "larger": larger, "values": values, "rates": rates}


def averages():
    """A net with running statistics and its averages after six epochs of three batches."""
    torch.manual_seed(5)
    x, y = torch.randn(12, 3), torch.randn(12, 1)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    flat = lambda tensors: torch.cat([tensor.detach().flatten() for tensor in tensors]).tolist()
    statistics = lambda net: [net[1].running_mean, net[1].running_var]
    start = {"theta": flat(net.parameters()), "buffers": flat(statistics(net))}
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    ema = swa_utils.AveragedModel(net, avg_fn=swa_utils.get_ema_avg_fn(0.8), use_buffers=True)
    swa = swa_utils.AveragedModel(net, avg_fn=swa_utils.get_swa_avg_fn(), use_buffers=True)
    for epoch in range(1, 7):
        for batch in range(3):
            rows = slice(4 * batch, 4 * batch + 4)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(net(x[rows]), y[rows]).backward()
            optimizer.step()
            ema.update_parameters(net)
        if epoch >= 3:
            swa.update_parameters(net)
    found = {name: {"theta": flat(model.parameters()), "buffers": flat(statistics(model))}
             for name, model in (("last", net), ("ema", ema.module), ("swa", swa.module))}
    return {"x": x.flatten().tolist(), "y": y.flatten().tolist(), "start": start, **found}


def main():
    golden = {
        "torch": torch.__version__,
        "start": START,
        "learning_rate": RATE,
        "steps_per_epoch": STEPS_PER_EPOCH,
        "epochs": EPOCHS,
        "optimizers": list(optimizers()) + list(clipped()),
        "lbfgs": list(lbfgs()),
        "schedules": list(schedules()),
        "plateaus": list(plateaus()),
        "averages": averages(),
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
