"""Compares the PyTorch model with a `pretrain_step` golden case: losses, logits, sampling weights,
queues and temperature of every step; gradients and parameters of the first. Exit status 1 on a
difference beyond the tolerances stored with the case."""

import json
import os

import torch
from safetensors.torch import load_file

import model as m


def load_weights(model: m.Albef, case: dict, folder: str) -> None:
    state = {}
    for entry in case["weights"]:
        for name, tensor in load_file(os.path.join(folder, entry["file"])).items():
            if name.startswith(entry["from"]):
                state[entry["to"] + name[len(entry["from"]) :]] = tensor
    state = {name: t for name, t in state.items() if not name.endswith("position_ids")}
    model.load_state_dict(state, strict=True)


class Report:
    def __init__(self, tolerance: dict):
        self.tolerance, self.failed, self.count, self.worst = tolerance, 0, 0, {}

    def expect(self, name: str, got: torch.Tensor, want: torch.Tensor) -> None:
        """|got - want| <= rtol * max(|want|, floor), with the tolerance of the tensor or group."""
        rule = self.tolerance.get(name) or self.tolerance[name.split("/")[0]]
        got, want = got.detach().double().reshape(want.shape), want.double()
        scale = max(want.abs().max().item(), rule.get("floor", 0.0), 1e-30)
        deviation = (got - want).abs().max().item() / scale
        limit = 0.0 if rule.get("exact") else rule["rtol"]
        self._add(name, deviation, limit)

    def expect_quantiles(self, group: str, differences: list) -> None:
        every = torch.cat([d.detach().double().abs().flatten() for d in differences])
        every = every.sort().values
        for q, limit in self.tolerance[group]["abs_quantiles"].items():
            value = every[round(float(q) * (len(every) - 1))].item()
            self._add(f"{group}, quantile {q}", value, limit)

    def _add(self, name: str, deviation: float, limit: float) -> None:
        self.count += 1
        label = name.split("/")[0] if name.startswith("grad/") else name
        if deviation >= self.worst.get(label, (-1.0, 0.0))[0]:
            self.worst[label] = (deviation, limit)
        if not deviation <= limit:
            self.failed += 1
            print(f"FAIL {name}: deviation {deviation:.3g}, allowed {limit:.3g}")


def run(folder: str, compiled: bool) -> int:
    with open(os.path.join(folder, "case.json"), encoding="utf-8") as file:
        case = json.load(file)
    if case["kind"] != "pretrain_step":
        raise ValueError(f"{folder}: kind '{case['kind']}', expected 'pretrain_step'")
    known = m.Config.__dataclass_fields__
    values = {k: v for k, v in case["config"].items() if k in known}
    config = m.Config().updated({**values, "dropout": 0.0})
    model = m.Albef(config).train()
    load_weights(model, case, folder)
    if compiled:
        model.compile_blocks()
    given = load_file(os.path.join(folder, "inputs.safetensors"))
    want = load_file(os.path.join(folder, "expected.safetensors"))
    hyper = case["hyper"]
    optimizer = m.make_optimizer(model, hyper["lr"], hyper["weight_decay"])
    report = Report(case["tolerance"])

    for step, alpha in enumerate(hyper["alphas"], start=1):
        get = lambda name: given[f"step{step}/{name}"]  # noqa: E731
        batch = m.Batch(get("image"), get("input_ids"), get("attention_mask"))
        draws = m.Draws(get("neg_image_idx"), get("neg_text_idx"), get("input_ids_mlm"),
                        get("labels_mlm"))  # fmt: skip
        out, _ = m.train_step(model, optimizer, batch, alpha, draws)
        got = {**out._asdict(), "image_queue": model.image_queue, "text_queue": model.text_queue,
               "queue_ptr": model.queue_ptr, "temp": model.temp}  # fmt: skip
        for name, tensor in want.items():
            if name.startswith(f"step{step}/"):
                report.expect(name, got[name.split("/")[1]], tensor)
        if step == 1:
            parameters = dict(model.named_parameters())
            for name, tensor in want.items():
                if name.startswith("grad/"):
                    report.expect(name, parameters[name[len("grad/") :]].grad, tensor)
            differences = [parameters[name.split("/", 1)[1]] - tensor
                           for name, tensor in want.items()
                           if name.startswith("after_step1/")]  # fmt: skip
            report.expect_quantiles("after_step1", differences)

    for name, (deviation, limit) in report.worst.items():
        print(f"{name:28} worst deviation {deviation:9.3g}  allowed {limit:.3g}")
    print(f"{report.count - report.failed} of {report.count} comparisons within tolerance")
    return 1 if report.failed else 0
