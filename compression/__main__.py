"""The headless twin: everything a page does, from the command line. See `python -m compression
--help`.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from .errors import CompressionError, DataError, InvalidInput, NotOffered


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m compression",
        description="Compress a network by recipe; measure what is stored.",
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    run = commands.add_parser("run", help="run a recipe")
    take = commands.add_parser("export", help="run a recipe and take it away as a checked file")
    report = commands.add_parser(
        "report", help="run a recipe and write what was found as one HTML file"
    )
    speed = commands.add_parser(
        "speed", help="run a recipe and time its network beside the dense one, in ONNX Runtime"
    )
    for command in (run, take, report, speed):
        command.add_argument(
            "--model",
            help="network, as `list` names it; its trained baseline is where the steps begin",
        )
        command.add_argument("--dataset")
        command.add_argument(
            "--step",
            action="append",
            default=[],
            metavar="NAME:KNOB=VALUE,...",
            help="in order; repeatable",
        )
        command.add_argument("--seed", type=int)
        command.add_argument(
            "--recipe", metavar="FILE", help="a recipe as JSON, instead of the options above"
        )
    run.add_argument("--out", metavar="FILE", help="write the .nnz file here")
    take.add_argument(
        "--to", required=True, help="nnz, loader, onnx, onnx-int8, safetensors, recipe or python"
    )
    take.add_argument("--out", metavar="FILE", required=True, help="write it here")
    _report_options(report)
    sweep = commands.add_parser("sweep", help="run all combinations of several values")
    search = commands.add_parser("search", help="find the best recipe within limits")
    for command in (sweep, search):
        command.add_argument("--model", action="append", default=[], help="repeatable")
        command.add_argument("--dataset", required=True)
    sweep.add_argument(
        "--step",
        action="append",
        default=[],
        metavar="NAME:KNOB=VALUES,...",
        help="in order; values as in 4|8|16 or 0.5..0.9:5; repeatable",
    )
    sweep.add_argument("--width", action="append", type=float, default=[], help="repeatable")
    sweep.add_argument("--seeds", type=int, default=1, help="repeats of each, from seed 0 on")
    search.add_argument("--minimize", choices=["bytes", "macs", "points"], default="bytes")
    search.add_argument("--bytes", type=int, help="of the file, at most")
    search.add_argument("--macs", type=int, help="multiply-adds, at most")
    search.add_argument("--ms", type=float, help="for one image in ONNX Runtime, at most")
    search.add_argument("--points", type=float, help="of validation accuracy lost, at most")
    search.add_argument("--seconds", type=float, default=300, help="how long to search")
    search.add_argument("--epochs", type=int, default=1, help="training on after each step")
    search.add_argument("--seed", type=int, default=0)
    evaluate = commands.add_parser("evaluate", help="score a .nnz file")
    evaluate.add_argument("file")
    evaluate.add_argument("--dataset", help="default: the one that the file names")
    for command in (run, take, evaluate):
        command.add_argument("--split", choices=["test", "validation"], default="test")
    listing = commands.add_parser("list", help="models, data sets and steps with their knobs")
    for command in (run, take, report, speed, evaluate, sweep, search, listing):
        command.add_argument("--json", action="store_true", help="print one JSON object")
    again = commands.add_parser(
        "baselines", help="train the shipped networks again, from their recipes, into assets/zoo"
    )
    again.add_argument("--model", help="only this network")
    again.add_argument("--dataset", help="only for this data set")
    again.add_argument(
        "--measure", action="store_true", help="only write and score their files again"
    )
    get = commands.add_parser(
        "fetch", help="get a data set that is not shipped into the data folder (COMPRESSION_DATA)"
    )
    get.add_argument("dataset", help="cifar10")
    return parser


def _report_options(report: argparse.ArgumentParser) -> None:
    report.add_argument("--out", metavar="FILE", required=True, help="write the HTML here")
    report.add_argument("--csv", metavar="FILE", help="write all runs of the network here")
    report.add_argument(
        "--beside",
        action="append",
        default=[],
        metavar="RUN",
        help="another run of the same data set: its digest, or its recipe's file; repeatable",
    )
    for name, about in (
        ("title", "instead of the run's name"),
        ("summary", "instead of the lab's own words"),
        ("note", "instead of the run's note"),
    ):
        report.add_argument(f"--{name}", default="", help=about)
    report.add_argument(
        "--cost",
        action="append",
        default=[],
        metavar="INPUT=NUMBER",
        help="an input of the costs, as in installs=50000; repeatable",
    )
    report.add_argument("--currency", default="$")
    report.add_argument("--address", default="", help="of a lab that its link opens")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0, or 2 with one sentence on stderr for anything that is wrong with the input."""
    try:
        args = _parser().parse_args(arguments)
        {
            "run": _run,
            "export": _export,
            "report": _report,
            "speed": _speed,
            "evaluate": _evaluate,
            "sweep": _sweep,
            "search": _search,
            "list": _list,
            "baselines": _baselines,
            "fetch": _fetch,
        }[args.command](args)
    except CompressionError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; nothing half done was kept", file=sys.stderr)
        return 130
    return 0


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as e:
        raise InvalidInput("{name}: {reason}", name=name, reason=e.strerror) from None


def _run(args: argparse.Namespace) -> None:
    from .pipeline import nnz_file, run
    from .store import Store

    recipe, store = _recipe(args), Store()
    result = run(recipe, store, split=args.split, listen=_show_progress)
    if args.out:
        _write(args.out, nnz_file(recipe, store))
    _print(
        args,
        _figures(result, args.split),
        f"{recipe.label}: {_words(result, args.split)}, {result.ratio:.1f} times smaller",
    )


def _export(args: argparse.Namespace) -> None:
    from .exports import KINDS, export, why_not
    from .pipeline import run
    from .store import Store

    recipe, store = _recipe(args), Store()
    reason = why_not(args.to, recipe)
    if reason:
        raise NotOffered("{kind}: {reason}", kind=KINDS[args.to].title, reason=reason)
    run(recipe, store, split=args.split, listen=_show_progress)
    made = export(args.to, recipe, args.split, store)
    _write(args.out, made.data)
    values = {
        "kind": args.to,
        "file": args.out,
        "bytes": len(made.data),
        "file_digest": made.file_digest,
        "digest": made.digest,
        "split": args.split,
        "accuracy": made.accuracy.value if made.accuracy else None,
        "lab_accuracy": made.ours.value if made.ours else None,
        "checked": made.checked,
    }
    _print(
        args, values, f"{args.out}: {len(made.data)} bytes, recipe {made.digest}. {made.checked}"
    )


def _report(args: argparse.Namespace) -> None:
    from .address import export_address
    from .pipeline import run
    from .price import Prices
    from .report import Text, companions, make, summary, to_csv, to_dict, to_html
    from .store import Store

    recipe, store = _recipe(args), Store()
    text = Text(args.title, args.summary, args.note)
    prices = Prices(dict(map(_cost_input, args.cost)), args.currency)
    link = export_address(recipe, args.address)
    beside = companions(recipe, [_named(name, store) for name in args.beside])
    for one in (recipe, *beside):
        run(one, store, listen=_show_progress)
    found = make(recipe, beside, "validation", store)
    _write(args.out, to_html(found, text, prices, link).encode())
    if args.csv:
        _write(args.csv, to_csv(found.runs).encode())
    values = to_dict(found, text, prices, link) if args.json else {}
    _print(args, values, f"{args.out}: {summary(found)}")


def _speed(args: argparse.Namespace) -> None:
    from .pipeline import run
    from .speed import ENGINES, KINDS, measure
    from .store import Store

    recipe, store = _recipe(args), Store()
    run(recipe, store, split="validation", listen=_show_progress)
    found = measure(recipe, store, listen=_show_done)
    lines = [
        f"{recipe.label}: times faster than dense in the same engine, median and quartiles of"
        f" {found.machine.cores} x {found.machine.processor}"
    ]
    for t in sorted(found.timings, key=lambda t: t.engine):  # torch apart
        lines.append(
            f"{ENGINES[t.engine]:>12}, {KINDS[t.kind]:>6}, batch {t.batch:>3}, {t.threads} thread"
            f"{'s' if t.threads > 1 else ''}: {t.faster:.2f} ({t.faster_low:.2f} to"
            f" {t.faster_high:.2f}); {t.median_ms:.3g} ms, dense {found.beside(t).median_ms:.3g} ms"
        )
    lines.append(f"other programs kept up to {found.others:.1f} cores busy meanwhile")
    _print(args, found.to_dict(), "\n".join(lines))


def _named(name: str, store: Any) -> Any:
    """The recipe of a stored run (its digest), or that of a file."""
    from .recipe import Recipe

    found = store.get(name) if re.fullmatch("[0-9a-f]{16}", name) else None
    return found.recipe if found else Recipe.from_json(_read(name))


def _cost_input(text: str) -> tuple[str, float]:
    key, _, value = text.partition("=")
    try:
        return key, float(value)
    except ValueError:
        raise InvalidInput("--cost {got!r} is not of the form INPUT=NUMBER", got=text) from None


def _write(name: str, data: bytes) -> None:
    try:
        Path(name).write_bytes(data)
    except OSError as e:
        raise InvalidInput("{name}: {reason}", name=name, reason=e.strerror) from None


def _words(result: Any, split: str) -> str:
    return f"{100 * result.accuracy(split).value:.2f} % ({split}), {result.cost.bytes} bytes"


def _figures(result: Any, split: str) -> dict[str, Any]:
    """What is printed of a result."""
    accuracy, cost, baseline = result.accuracy(split), result.cost, result.baseline
    return {
        "accuracy": accuracy.value,
        "accuracy_low": accuracy.metric.low,
        "accuracy_high": accuracy.metric.high,
        "baseline_accuracy": baseline.test if split == "test" else baseline.validation,
        "split": split,
        "bytes": cost.bytes,
        "fp32_bytes": baseline.fp32_bytes,
        "zip_bytes": cost.zip_bytes,
        "nominal_bytes": cost.nominal_bytes,
        "entropy_bytes": cost.entropy_bytes,
        "params": cost.params,
        "nonzero_params": cost.nonzero_params,
        "macs": cost.macs,
        "digest": result.digest,
        "seconds": result.seconds,
    }


def _recipe(args: argparse.Namespace) -> Any:
    from dataclasses import replace

    from .baselines import baseline
    from .recipe import Recipe, parse_step

    if args.recipe:
        if args.model or args.dataset or args.step or args.seed is not None:
            raise InvalidInput("--recipe goes alone: it holds model, data set, steps and seed")
        try:
            text = _read(args.recipe).decode()
        except UnicodeDecodeError:
            raise InvalidInput("{name}: not a text file", name=args.recipe) from None
        return Recipe.from_json(text)
    if not args.model or not args.dataset:
        raise InvalidInput(
            "{command} needs --model and --dataset, or --recipe", command=args.command
        )
    start = baseline(args.model, args.dataset)
    if args.seed is not None:
        start = replace(start, seed=args.seed)
    return start.then(*map(parse_step, args.step))


def _sweep(args: argparse.Namespace) -> None:
    from .grid import Sweep, parse_axes
    from .pipeline import Memory, run
    from .store import Store

    steps, axes = parse_axes(args.step)
    models, widths = tuple(args.model), tuple(args.width) or (1.0,)
    wanted = Sweep(args.dataset, models, steps, axes, widths, tuple(range(args.seeds)))
    recipes, reasons = wanted.recipes()
    for reason in reasons:
        print(f"left out: {reason}", file=sys.stderr)
    store, memory = Store(), Memory()
    rows: list[dict[str, Any]] = []
    for i, recipe in enumerate(recipes, 1):
        result = run(recipe, store, listen=_show_progress, memory=memory)
        rows.append({"model": recipe.model, "recipe": recipe.label, "seed": recipe.seed})
        rows[-1] |= _figures(result, "test")
        words = f"{recipe.model}, {recipe.label}, seed {recipe.seed}: {_words(result, 'test')}"
        print(f"{i}/{len(recipes)} {words}", file=sys.stderr, flush=True)
    best = "\n".join(f"{r['bytes']:>9} {100 * r['accuracy']:6.2f} % {r['recipe']}" for r in rows)
    _print(args, {"runs": rows, "left_out": reasons}, best)


def _search(args: argparse.Namespace) -> None:
    from .goals import Goal, answer
    from .pipeline import run
    from .search import solve
    from .store import Store

    goal = Goal(
        dataset=args.dataset,
        models=tuple(args.model),
        minimize=args.minimize,
        most_bytes=args.bytes,
        most_macs=args.macs,
        most_ms=args.ms,
        most_points=args.points,
        seconds=args.seconds,
        epochs=args.epochs,
        seed=args.seed,
    )
    store = Store()

    def listen(spent: float, found: Any) -> None:
        words = f"{found.bytes} bytes, {found.points:+.2f} points lost, {found.recipe.label}"
        print(f"{spent:.0f} s: {words}", file=sys.stderr, flush=True)

    found = solve(goal, store, listen=listen).found()
    chosen = answer(goal, found)
    values: dict[str, Any] = {"goal": goal.to_dict(), "tried": len(found)}
    values["binds"] = chosen.binds[0] if chosen.binds else None
    texts = [] if chosen.best else [f"none of {len(found)} recipes is within the limits"]
    for name in ("best", "runner_up"):
        one = getattr(chosen, name)
        values[name] = None
        if one is not None:
            result = run(one.recipe, store)  # the test images are looked at now, and not before
            values[name] = {"points": one.points, "recipe": one.recipe.to_dict()}
            values[name] |= _figures(result, "test")
            lost = f"{one.points:.2f} points lost on validation"
            texts.append(f"{name}: {one.recipe.label}: {_words(result, 'test')}, {lost}")
    _print(args, values, "\n".join(texts))


def _evaluate(args: argparse.Namespace) -> None:
    from .pipeline import evaluate_file

    score = evaluate_file(_read(args.file), args.dataset, args.split)
    metric = score.accuracy.metric
    values = {
        "accuracy": metric.value,
        "accuracy_low": metric.low,
        "accuracy_high": metric.high,
        "model": score.network,
        "dataset": score.dataset,
        "split": score.split,
        "bytes": score.bytes,
        "file_digest": score.digest,
    }
    _print(
        args,
        values,
        f"{score.network} on {score.dataset}: {100 * metric.value:.2f} % ({score.split}),"
        f" {score.bytes} bytes",
    )


def catalog() -> dict[str, Any]:
    """Models, data sets and steps with their knobs, as plain values: what `list --json` prints."""
    from .data import DATASETS
    from .models import tensor_shapes
    from .networks import NETWORKS, architecture_for, why_not
    from .recipe import steps

    models = []
    for name, network in NETWORKS.items():
        reasons = {d: why_not(name, d) for d in DATASETS}
        params = {
            d: sum(math.prod(s) for s in tensor_shapes(architecture_for(name, d)).values())
            for d in DATASETS
            if not reasons[d]
        }
        models.append(
            {
                "name": name,
                "about": network.about,
                "params": params,
                "not_offered": {d: r for d, r in reasons.items() if r},
            }
        )
    datasets = [
        {"name": n, "shape": list(e.shape), "classes": len(e.classes)} for n, e in DATASETS.items()
    ]
    listed = [
        {
            "name": name,
            "about": (step.__doc__ or "").splitlines()[0],
            "reference": step.reference,
            "not_offered": {
                m: reason
                for m in NETWORKS
                if (reason := step().why_not(architecture_for(m, "mnist")))
            },
            "knobs": [{"name": f.name, "default": f.default, **f.metadata} for f in fields(step)],
        }
        for name, step in steps().items()
    ]
    return {"models": models, "datasets": datasets, "steps": listed}


def _list(args: argparse.Namespace) -> None:
    known = catalog()
    lines = ["models"]
    for model in known["models"]:
        lines.append(f"  {model['name']}: {model['about']}; parameters {model['params']}")
        lines += [f"    not for {d}: {reason}" for d, reason in model["not_offered"].items()]
    lines.append("data sets")
    lines += [
        f"  {d['name']}: {'x'.join(map(str, d['shape']))}, {d['classes']} classes"
        for d in known["datasets"]
    ]
    lines.append("steps")
    for step in known["steps"]:
        lines.append(f"  {step['name']}: {step['about']}")
        for k in step["knobs"]:
            span = "|".join(k["options"]) if "options" in k else f"{k['low']:g}..{k['high']:g}"
            lines.append(f"    {k['name']}={k['default']} ({span}) {k['help']}")
    _print(args, known, "\n".join(lines))


def _baselines(args: argparse.Namespace) -> None:
    import tempfile

    from .baselines import shipped
    from .pipeline import run
    from .store import ZOO, Store, write_zoo

    for recipe in shipped(args.model, args.dataset):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(f"sqlite:///{folder}/store.sqlite", f"{folder}/files", zoo=Path(folder))
            if args.measure:
                trained = Store().checkpoint(recipe.digest)
                if trained is None:
                    continue
                store.put_checkpoint(recipe.digest, trained)
            result = run(recipe, store, listen=_show_progress)
            checkpoint = store.checkpoint(recipe.digest)
            assert checkpoint is not None and result.test is not None
            if args.measure:
                checkpoint = _with_size(checkpoint, result.cost.bytes)
            predictions = {s: store.predictions(recipe.digest, s) for s in ("validation", "test")}
            write_zoo(
                result, {s: p for s, p in predictions.items() if p is not None}, checkpoint, ZOO
            )
        error = 100 * (1 - result.test.value)
        print(f"{recipe.model} on {recipe.dataset}: test error {error:.2f} %", flush=True)


def _fetch(args: argparse.Namespace) -> None:
    from . import cifar10
    from .data import DATASETS
    from .recipe import one_of

    if one_of("dataset", args.dataset, DATASETS) != cifar10.NAME:
        raise InvalidInput(
            "{dataset} ships with the lab: there is nothing to fetch", dataset=args.dataset
        )
    if cifar10.is_there():
        try:
            cifar10.read()
        except DataError as e:
            raise DataError(
                "{reason}; remove it from {folder} and fetch again",
                reason=e,
                folder=cifar10.folder(),
            ) from None
        print(f"{args.dataset} is there already: {cifar10.folder()}")
        return
    source, shown = cifar10.OFFICIAL, 0

    def progress(share: float) -> None:
        nonlocal shown
        if int(20 * share) > shown:  # a line every 5 %
            shown = int(20 * share)
            print(f"{source.archive}: {5 * shown} %", file=sys.stderr, flush=True)

    size = f"{source.size / 1e6:.0f} MB"
    print(f"{source.archive}: {size} from {source.host}", file=sys.stderr, flush=True)
    print(f"{args.dataset} is there: {cifar10.fetch(progress)}")


def _with_size(checkpoint: bytes, size: int) -> bytes:
    """A checkpoint whose last step is noted with the length that its file has today."""
    from dataclasses import replace

    from .checkpoint import dumps, loads

    found = loads(checkpoint)
    *before, last = found.stages
    return dumps(replace(found, stages=(*before, replace(last, bytes=size))))


def _show_progress(progress: Any) -> None:
    if progress.epoch:
        e = progress.epoch
        print(
            f"{progress.label}: epoch {e.epoch}/{e.epochs}, loss {e.loss:.4f}, validation"
            f" {100 * e.accuracy:.2f} %, {e.bytes} bytes, {progress.seconds_left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )


def _show_done(progress: Any) -> None:
    words = f"{progress.label}: {100 * progress.done:.0f} % done"
    print(words, file=sys.stderr, flush=True)


def _print(args: argparse.Namespace, values: dict[str, Any], text: str) -> None:
    print(json.dumps(values) if args.json else text)


if __name__ == "__main__":
    sys.exit(main())
