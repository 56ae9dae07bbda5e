"""Compress neural networks by recipe and measure what is really stored.

From Python 3.14 on the standard library has a package of this name too (``gzip`` and ``bz2`` import
it), so our path
is extended by it and nothing heavy is loaded here: public names load on first use (PEP 562).
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

_HOMES = {
    "errors": ["CompressionError"],
    "recipe": ["Recipe", "Step", "choice", "knob", "parse_step", "register"],
    "result": ["Accuracy", "Cost", "Metric", "Result"],
    "baselines": ["baseline"],
    "storage": ["dumps", "loads"],
    "pipeline": ["evaluate_file", "run"],
    "store": ["Store"],
    "pruning": ["keep_k_largest"],
    "quantization": ["dequantize", "quantize"],
    "distillation": ["first_k_columns"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [*_HOME_OF]  # noqa: PLE0604  (a list of strings, made from the table)


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
