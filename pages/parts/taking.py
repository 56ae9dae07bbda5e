"""What the Export page takes away, and what is given to it: files with their checks, the code that
uses them, and files that come back.
"""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from compression import glossary, units
from compression.address import TAKEN, parse_recipe
from compression.data import DATASETS
from compression.errors import CompressionError, InvalidInput
from compression.exports import KINDS, Export, command, file_name, why_not
from compression.language import marked, tr
from compression.networks import NETWORKS
from compression.opened import Opened
from compression.recipe import Recipe
from compression.storage import MAGIC, file_digest

from . import cached, frame, panels, steps

SLOW = ("onnx", "onnx-int8", "loader")  # compared on many images: made when asked for
FILE_BYTES = 4_000_000  # of a .nnz file; the largest dense network has 1.7 MB
LIMIT = marked("A .nnz file of at most {size} MB, or a recipe of at most 64 kB.")


STORED = {  # kinds of tensors in a file
    "float": marked("float"),
    "codebook": marked("codebook"),
    "grid": marked("grid"),
    "fixed_point": marked("fixed point"),
}


def arrive() -> None:
    """Take the run of a link, before the sidebar is drawn: network and data set follow it."""
    given = st.query_params.get(TAKEN, "")
    if not given or given == st.session_state.get("run_read"):
        return
    st.session_state["run_read"], st.session_state["run_trouble"] = given, ""
    st.session_state.pop("run_taken", None)
    try:
        recipe = _named(given)
    except CompressionError as e:
        said = tr("The run in the link can't be read: {reason}.", reason=steps.short(e))
        st.session_state["run_trouble"] = said
        return
    st.session_state["run_taken"] = recipe
    st.session_state["network"], st.session_state["data"] = recipe.model, recipe.dataset


def _named(text: str) -> Recipe:
    if not re.fullmatch(r"[0-9a-f]{16}", text):
        given = st.query_params.get("data", "mnist")
        titles = {d.title: name for name, d in DATASETS.items()}
        return parse_recipe(text, titles.get(given, given))
    found = cached.engine().store.get(text)
    if found is None:
        raise InvalidInput("there is no run {digest} here", digest=text)
    return found.recipe


def recipe_of(network: str, dataset: str, seed: int) -> Recipe:
    """The run of the link, until another network or data set is chosen; else the steps of the
    Recipes page.
    """
    taken: Recipe | None = st.session_state.get("run_taken")
    if taken is not None and st.query_params.get(TAKEN):
        if (taken.model, taken.dataset) == (network, dataset):
            return taken
        del st.query_params[TAKEN]
        st.session_state.pop("run_read")
    return steps.recipe_of(steps.bench(network, dataset), network, dataset, seed)


# files


def files(recipe: Recipe, split: str) -> None:
    """A row for each file: what it is good for, its size, how it was checked, and its button."""
    places = {kind: st.container(gap=None, key=f"file-{kind}") for kind in KINDS}
    for kind in sorted(KINDS, key=lambda kind: kind in SLOW):  # what takes time comes last
        with places[kind]:
            _file(kind, recipe, split)


def _file(kind: str, recipe: Recipe, split: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        name = st.container(width="stretch", gap=None)
        button = st.container(width="content")
    wanted = st.session_state.setdefault("exports_wanted", set())
    reason = why_not(kind, recipe)
    made: Export | None = None
    told = ""
    if reason:
        told = tr("Not of this network: {reason}.", reason=steps.readable(reason))
    elif kind not in SLOW or (recipe.digest, split, kind) in wanted:
        waiting = name.empty()
        if kind in SLOW:
            waiting.caption(tr("{file}: being made and checked", file=tr(KINDS[kind].title)))
        try:
            made = cached.exported(recipe.digest, kind, split, recipe)
            told = made.checked
        except (CompressionError, TimeoutError) as e:
            reason = steps.plain(str(e)) or tr("the check took too long")
            told = tr(":red[Not offered: {reason}.]", reason=reason)
        waiting.empty()
    else:
        told = ""
        button.button(
            tr("Make and check"),
            key=f"make-{kind}",
            icon=":material/fact_check:",
            on_click=wanted.add,
            args=((recipe.digest, split, kind),),
        )
    size = f" · {units.size(len(made.data))}" if made else ""
    name.markdown(f"**{tr(KINDS[kind].title)}**{size}  \n:small[{tr(KINDS[kind].about)}]")
    if told:
        name.caption(f":material/check: {told}" if made else told)
    if made is not None:
        data = made.data
        button.download_button(
            tr("Download"),
            lambda: data,
            file_name(kind, recipe),
            key=f"take-{kind}",
            on_click="ignore",
            icon=":material/download:",
            help=tr(
                "{file}; recipe {recipe}, content {content}",
                file=file_name(kind, recipe),
                recipe=made.digest,
                content=made.file_digest,
            ),
        )


# code

USES = (marked("Loader"), "ONNX", "Python", marked("Command line"))


def code(use: str, recipe: Recipe) -> None:
    """How to use the files, or to repeat the run. In one colour: those of Streamlit's highlighting
    are too pale to read.
    """
    match use:
        case "Loader":
            nnz = file_name("nnz", recipe)
            st.code(
                f'pip install numpy "constriction==0.5.*"\npython nnz_loader.py {nnz} images.npy',
                language=None,
                wrap_lines=True,
            )
            st.code(
                "from nnz_loader import Network\n\n"
                f'file = "{nnz}"\n'
                'net = Network(open(file, "rb").read())\n'
                "net.arrays             # float32 by name\n"
                "net.classes(images)    # of uint8 images",
                language=None,
            )
        case "ONNX":
            kind = "onnx-int8" if why_not("onnx", recipe) else "onnx"
            st.code(
                "import onnxruntime\n\n"
                f'file = "{file_name(kind, recipe)}"\n'
                "session = onnxruntime.InferenceSession(file)\n"
                'logits = session.run(None, {"images": images})[0]',
                language=None,
            )
        case "Python":
            st.code(KINDS["python"].make(recipe, "test", cached.engine().store).data.decode(),
                    language=None, height=300)  # fmt: skip
        case _:
            st.code(command(recipe), language=None, wrap_lines=True)
            export = f"python -m compression export --recipe {file_name('recipe', recipe)}"
            st.code(f"{export} --to onnx --out small.onnx", language=None, wrap_lines=True)
    if use in ("Loader", "ONNX"):
        entry = DATASETS[recipe.dataset]
        channels, height, width = entry.shape
        shape = f"(N, {channels}, {height}, {width})"
        st.caption(
            tr(
                "Images are uint8 {shape}, pixels 0 to {peak:.0f} as {dataset} has them; what makes"
                " a network's input of them is inside.",
                shape=shape,
                peak=entry.peak,
                dataset=entry.title,
            )
        )


def open_in_recipes(recipe: Recipe) -> None:
    st.page_link(
        "pages/recipes.py",
        label=tr("Open in Recipes"),
        icon=":material/tune:",
        query_params=steps.link(recipe),
    )


# files that come back


def importer() -> None:
    """A .nnz file or a recipe, dropped on the page."""
    st.file_uploader(
        tr("Open a file: .nnz, or recipe (.json)"),
        ["nnz", "json"],
        key="given",
        max_upload_size=4,
        on_change=_take,
        help=tr("{limit} It is read and scored here; nothing of it is kept.", limit=_limit()),
    )
    if trouble := st.session_state.get("given_trouble"):
        st.markdown(f":small[:red[{trouble}]]")


def _limit() -> str:
    return tr(LIMIT, size=FILE_BYTES // 10**6)


def _take() -> None:
    """Callback of the uploader."""
    file = st.session_state.get("given")
    for key in ("given_file", "given_trouble", "given_recipe"):
        st.session_state.pop(key, None)
    if file is None:
        return
    data = file.getvalue()
    if data[:3] == MAGIC or file.name.endswith(".nnz"):
        if len(data) > FILE_BYTES:
            said = tr("That file is too large. {limit}", limit=_limit())
            st.session_state["given_trouble"] = said
        else:
            st.session_state["given_file"] = file.name, data
        return
    steps.take_text_of(data)
    if trouble := steps.mine().trouble:
        st.session_state["given_trouble"] = trouble
    else:
        st.session_state["given_recipe"] = True


def show_given(recipe: Recipe, split: str) -> None:
    """What was dropped: of a file its figures and its layers. A recipe is that of the page now."""
    if st.session_state.get("given_recipe"):
        st.markdown(tr(":small[This page is about that recipe now.]"))
        open_in_recipes(recipe)
    name, data = st.session_state.get("given_file", ("", b""))
    if not data:
        return
    try:
        found = cached.opened(file_digest(data), split, data)
    except (CompressionError, TimeoutError) as e:
        file, reason = steps.plain(name), steps.plain(str(e))
        said = tr("{file} can't be opened: {reason}.", file=file, reason=reason)
        st.markdown(f":small[:red[{said}]]")
        return
    _figures(name, found)


def _figures(name: str, found: Opened) -> None:
    score, look = found.score, dict(border=True, delta_color="off", delta_arrow="off")
    m = score.accuracy.metric
    said = tr(
        "**{file}**: {network} on {dataset}",
        file=steps.plain(name),
        network=NETWORKS[score.network].title,
        dataset=DATASETS[score.dataset].title,
    )
    content = tr("content `{digest}`", digest=score.digest)
    st.markdown(f"{said}  \n:small[{content}]")
    with st.grid(2, min_column_width=150, gap="small"):
        change = found.dense and units.points(m.value - found.dense.value)
        st.metric(
            panels.accuracy_title(score.split),
            f"{units.percent(m.value)} ±{100 * m.half_width:.1f}",
            change or None,
            delta_description=tr("against dense") if change else None,
            help=glossary.about(
                f"Accuracy, {score.split}",
                tr("Scored here, on the network that the file gives."),
            ),
            **look,  # type: ignore[arg-type]
        )
        weights = sum(layer.weights for layer in found.layers)
        st.metric(
            tr("File size"),
            units.size(score.bytes),
            tr("{bits:.2f} bits", bits=8 * score.bytes / weights),
            delta_description=tr("per weight"),
            help=glossary.about("File size"),
            **look,  # type: ignore[arg-type]
        )
    rows = [
        {
            marked("Layer"): layer.name,
            marked("Shape"): "×".join(map(str, layer.shape)),
            marked("Bytes"): layer.bytes,
            marked("Nonzero"): 100 * layer.nonzero / layer.weights,
            marked("Stored as"): f"{tr(STORED[layer.kind])}, {layer.values}"
            if layer.values
            else tr(STORED[layer.kind]),
        }
        for layer in found.layers
    ]
    frame.table(
        pd.DataFrame(rows),
        hide_index=True,
        height=min(260, 36 + 34 * len(rows)),
        row_height=34,
        placeholder=" ",
        key="given_layers",
        alt=tr("Layers of the file"),
        column_config={
            "Layer": st.column_config.TextColumn(width=58),
            "Shape": st.column_config.TextColumn(width=80),
            "Bytes": st.column_config.NumberColumn(width=56),
            "Nonzero": st.column_config.NumberColumn(format="%.0f %%", width=68),
            "Stored as": st.column_config.TextColumn(
                width=90,
                help=tr("How its weights are stored, and how many different values they have"),
            ),
        },
    )
