"""What every page has around its content: logo, network, data set, running jobs; and the guard for
what is not offered.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from compression import cifar10, glossary, units
from compression.baselines import baseline
from compression.data import DATASETS
from compression.figures import Palette, palette
from compression.jobs import Ask, Engine, Job
from compression.language import FIRST, LANGUAGES, current, in_all, marked, original, tr
from compression.networks import NETWORKS, why_not

from . import cached, fetching, languages, people
from .controls import BOUND, CHOICES, MANY

ASSETS = "assets/look"
SPLITS = {"validation": marked("Validation"), "test": marked("Test")}
LABELS: dict[str, dict[Any, str]] = {  # every option and its label, by the key of its control
    "split": SPLITS,
    languages.KEY: LANGUAGES,
    **CHOICES,
}
SOURCES = {
    "digits": marked("1,797 handwritten digits of the UCI repository, shipped in scikit-learn"),
    "mnist": marked("70,000 handwritten digits; LeCun, Cortes, Burges; CC BY-SA 3.0"),
    "fashion_mnist": marked("70,000 pictures of clothes; Zalando SE; MIT"),
    "cifar10": marked(
        "60,000 colour photographs; Krizhevsky, Nair, Hinton, 2009; fetched when asked for"
    ),
}


def theme() -> str:
    """`light` or `dark`, as the browser shows the page."""
    return st.context.theme.type or "light"


def colours() -> Palette:
    return palette(theme())


def begin(locked: Collection[str] = (), first: str = next(iter(NETWORKS))) -> tuple[str, str]:
    """Draw the sidebar. locked: `network`, `data`, where a link does not let them be changed;
    first: the network of whoever has not chosen one.

    Returns the chosen network and data set; stops the page where they do not go together, or where
    the data set has to be fetched first.
    """
    languages.listen()
    people.admit()
    accept_names()
    st.logo(f"{ASSETS}/logo-{theme()}.svg", size="large")
    with st.sidebar:
        dataset = st.session_state.get("data", "mnist")
        network = st.radio(
            tr("Network"),
            list(NETWORKS),
            list(NETWORKS).index(first),
            format_func=lambda n: NETWORKS[n].title,
            key="network",
            **BOUND,
            captions=[_caption(n, dataset) for n in NETWORKS],
            disabled="network" in locked,
            help=tr("Parameters and validation accuracy of the dense network.")
            + " "
            + " · ".join(f"{n.title}: {tr(n.about)}" for n in NETWORKS.values()),
        )
        dataset = st.selectbox(
            tr("Data set"),
            list(DATASETS),
            1,
            format_func=lambda d: DATASETS[d].title,
            key="data",
            disabled="data" in locked,
            **BOUND,
            help=" · ".join(f"**{DATASETS[d].title}**: {tr(text)}" for d, text in SOURCES.items()),
        )
        _running(live=bool(cached.engine().jobs_of(cached.owner())))
        languages.switch()
        people.leave()
    reason = why_not(network, dataset)
    if reason:
        st.title(tr("This pair is not offered"), anchor=False)
        st.markdown(
            tr(
                "{network} {reason}. Choose another network or data set on the left.",
                network=NETWORKS[network].title,
                reason=tr(reason),
            )
        )
        st.stop()
    if dataset == cifar10.NAME:
        fetching.stop_until_there()
    return network, dataset


def accept_names() -> None:
    """Links may also say `network=lenet5`, as the command line does, where Streamlit writes
    `network=LeNet-5`; and they may be written by somebody who reads another language.
    """
    if "names_read" not in st.session_state:
        meant = {key: _meant(key) for key in st.query_params}
        found = {key: value for key, value in meant.items() if value is not None}
        st.session_state["names_read"] = list(found)
        for key, value in found.items():
            st.session_state[key] = value
        return
    for key in st.session_state["names_read"]:  # known to Streamlit by now: it goes to the address
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]
    st.session_state["names_read"] = []


def _meant(key: str) -> Any:
    """The option that an address names by its code or in another language, or all of them where
    several may be chosen; None where it says what Streamlit understands, or no option at all.
    """
    known, said = LABELS.get(key, {}), st.query_params.get_all(key)
    options = named(key)
    found = [options[name.lower()] for name in said if name.lower() in options]
    if not found or [tr(known[code]) for code in found] == said:
        return None
    return tuple(found) if key in MANY else found[0]


def named(key: str) -> dict[str, Any]:
    """The options of a control by all that links may call them, in small letters: their codes, and
    their labels in every language.
    """
    return {
        name.lower(): code
        for code, label in LABELS.get(key, {}).items()
        for name in (str(code), *in_all(partial(tr, label)).values())
    }


def _caption(network: str, dataset: str) -> str:
    reason = why_not(network, dataset)
    picture = f"![{NETWORKS[network].title}](data:image/svg+xml;base64,{_sketch(network)})"
    if reason:
        return picture + tr(" not for {data}", data=DATASETS[dataset].title)
    dense = cached.engine().result(Ask(baseline(network, dataset)))
    words = (
        f"{units.quantity(dense.cost.params)}, {units.percent(dense.validation.value)}"
        if dense
        else ""
    )
    return f"{picture} {words}"


@lru_cache(maxsize=16)
def _sketch(network: str) -> str:
    """A row of blocks, one per layer, 14 pixels high, as base64 of an SVG."""
    wide = {
        "lenet_300_100": [16, 10, 5],
        "lenet5": [5, 9, 13, 5],
        "net": [5, 8, 12, 5],
        "resnet20": [3] * 9,
        "mobilenet_mini": [7, 3, 7, 3, 7, 3],
        "vit_mini": [4, 8, 8, 8, 8],
    }[network]
    x, shapes = 0, []
    for i, width in enumerate(wide):
        height = 14 - 8 * i / len(wide)
        opacity = 0.95 if i % 2 == 0 else 0.6
        shapes.append(
            f'<rect x="{x}" y="{7 - height / 2:.1f}" width="{width}" height="{height:.1f}" rx="1.5"'
            f' opacity="{opacity}"/>'
        )
        x += width + 2
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{x}" height="14"'
        f' fill="#8A94A6">{"".join(shapes)}</svg>'
    )
    return base64.b64encode(svg.encode()).decode()


def _running(live: bool) -> None:
    st.fragment(_jobs, run_every=1.0 if live else None)()


def _jobs() -> None:
    """The person's running jobs, each with its progress and a button that stops it."""
    engine, owner = cached.engine(), cached.owner()
    jobs = engine.jobs_of(owner)
    if jobs:
        st.caption(tr("Running"))
    for job in jobs:
        engine.look(job.key, owner)
        with st.container(
            border=True, horizontal=True, vertical_alignment="center", key=f"job-{job.key}"
        ):
            done = job.progress.done if job.progress else 0.0
            st.progress(min(1.0, done), text=f":small[{progress_text(job)}]")
            st.button(
                "",
                icon=":material/close:",
                type="tertiary",
                key=f"cancel-{job.key}",
                help=tr("Cancel this job"),
                on_click=_cancel,
                args=(job.key,),
            )
    shown = st.session_state.get("jobs_shown", [])
    now = [job.key for job in jobs]
    st.session_state["jobs_shown"] = now
    if shown and now != shown:
        st.rerun(scope="app")


def _cancel(key: str) -> None:
    if not cached.engine().cancel(key, cached.owner()):
        st.toast(tr("Others wait for this job as well: it goes on without you."))


def progress_text(job: Job) -> str:
    """`Tune 3: epoch 2 of 3, 14 s left`."""
    if job.progress is None:
        before = cached.engine().place(job)
        if not cached.engine().ready:
            return tr("**{job}**: the workers are starting", job=job.label)
        if before:
            return tr("**{job}**: waiting, {n} before it", job=job.label, n=before)
        return tr("**{job}**: starting", job=job.label)
    p, last = job.progress, job.history[-1:]
    said = f"**{p.label}**"
    words = [units.percent(last[0].accuracy), units.size(last[0].bytes)] if last else []
    words += [] if math.isnan(p.loss) else [tr("loss {loss:.3f}", loss=p.loss)]
    for more in (*words, tr("{time} left", time=units.duration(p.seconds_left))):
        said = tr("{said}, {more}", said=said, more=more)
    return said


def chart(figure: go.Figure, key: str, alt: str, **more: Any) -> Any:
    """A plot in the lab's way: no mode bar, a name for the widget and one for people who can't see
    it.
    """
    return st.plotly_chart(
        figure, theme=None, key=key, alt=alt, config={"displayModeBar": False}, **more
    )


def table(
    data: pd.DataFrame, *, column_config: Mapping[str, Any] | None = None, **more: Any
) -> Any:
    """A table; columns whose titles name a term are explained by the glossary, and what their
    configuration says of this place comes behind that. Titles may be in English.
    """
    configs: dict[str, Any] = dict(column_config or {})
    for name in map(str, data.columns):
        config = dict(configs.get(name) or {})
        label = config.get("label") or name
        english = original(label) or (label if current() == FIRST else name)
        said = glossary.about(english, config.get("help") or "")
        config |= {"label": tr(label)} if tr(label) != label else {}
        config |= {"help": said} if said else {}
        if config:
            configs[name] = config
    return st.dataframe(data, column_config=configs, **more)


def head(where: Any) -> tuple[Any, Any]:
    """The first line of a page: a place for its headline, and one for its actions."""
    line = where.container(
        horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"
    )
    title = line.empty()
    actions = line.container(horizontal=True, width="content", gap="small")
    return title, actions


def when_ready(engine: Engine) -> None:
    """Stop the page, and draw it again once the workers are there."""

    def look() -> None:
        if engine.ready:
            st.rerun(scope="app")

    st.fragment(look, run_every=0.3)()
    st.stop()


def copy_link() -> None:
    """A popover that holds the page's whole address, ready to copy."""
    with st.popover(tr("Link"), icon=":material/link:", type="tertiary"):
        st.caption(tr("This address holds every control: whoever opens it sees the same numbers."))
        pairs = [(k, v) for k in st.query_params for v in st.query_params.get_all(k)]
        address = (st.context.url or "").partition("?")[0]
        st.code(
            f"{address}?{urlencode(pairs)}" if pairs else address, language=None, wrap_lines=True
        )


def choice(
    label: str, options: Sequence[str], key: str, collapsed: bool = False, **more: Any
) -> str:
    """One of a few words, bound to the address; the first is the default."""
    look: dict[str, Any] = {"label_visibility": "collapsed" if collapsed else "visible"}
    look |= {"required": True, **BOUND, **more}
    return st.segmented_control(label, options, default=options[0], key=key, **look) or options[0]


def split_choice(collapsed: bool = False) -> str:
    """`validation` or `test`, one choice for all pages."""
    label = marked("Score on")
    more: dict[str, Any] = dict(format_func=lambda s: tr(SPLITS[s]), help=glossary.about(label))
    return choice(tr(label), list(SPLITS), "split", collapsed, **more)


def view() -> tuple[str, str, bool]:
    """A popover of what is shown how.

    Returns the split (validation, test), bytes by (step, layer), and tall charts.
    """
    with st.popover(tr("View"), icon=":material/visibility:", type="tertiary"):
        split = split_choice()
        by = choice(
            tr("Show bytes by"), [marked("step"), marked("layer")], "bytes_by", format_func=tr
        )
        tall = tall_switch()
    return split, by, tall


def tall_switch() -> bool:
    return st.toggle(
        tr("Tall charts"),
        key="tall",
        help=tr("For screens of 1,000 pixels height and more."),
        **BOUND,
    )
