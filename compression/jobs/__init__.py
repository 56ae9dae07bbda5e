"""Running things: the live lane answers sliders, the batch lane trains. Which engine does it, the
settings say.
"""

from ..live import Ask
from ..settings import settings
from ..store import Store
from .cluster import DaskEngine
from .engine import Engine, InlineEngine, Job, speed_key

__all__ = ["Ask", "DaskEngine", "Engine", "InlineEngine", "Job", "make_engine", "speed_key"]


def make_engine(store: Store) -> Engine:
    """The engine that the settings ask for."""
    made: Engine = {"dask": DaskEngine, "inline": InlineEngine}[settings().engine](store)
    if isinstance(made, DaskEngine):  # the inline engine works off a campaign while one looks at it
        made.supervisor.start()
    return made
