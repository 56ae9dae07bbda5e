"""What a page shows while CIFAR-10 is not there: what it is, where it comes from, and the button
that fetches it.
"""

from __future__ import annotations

import streamlit as st

from compression import cifar10, units
from compression.language import tr
from compression.settings import ROOT

from . import cached

TICK, IDLE = 0.5, 3.0  # seconds between two looks, while it comes and while nobody has asked


def stop_until_there() -> None:
    """Stop the page, with one calm section in its place, where the data set has to be fetched."""
    if cifar10.is_there():
        return
    download, source = cached.download(), cifar10.OFFICIAL
    before = download.state  # noted before anything is drawn
    drawn = before is not None and before.live
    st.title(tr("CIFAR-10 is fetched first"), anchor=False)
    st.markdown(
        tr(
            "60,000 colour photographs of 32×32 pixels, ten classes from airplane to truck,"
            " collected by Alex Krizhevsky, Vinod Nair and Geoffrey Hinton (2009). They are not"
            " shipped with the lab."
        )
    )
    st.markdown(
        tr(
            "The archive comes from **{host}**, {size}, is checked, and is kept on the lab's"
            " computer in `{folder}`; once there, it serves everyone.",
            host=source.host,
            size=units.size(source.size),
            folder=_folder(),
        )
    )

    def watch() -> None:
        """Show how far it is; draw the page again when it began, ended, or the data is there."""
        state = download.state
        if cifar10.is_there() or download.live != drawn:
            st.rerun(scope="app")
        if state is not None and state.live:
            st.progress(min(1.0, state.share), text=_progress_text(state), width=480)

    if not drawn:
        error = before.error if before else ""
        if error:
            st.error(tr("That did not work: {reason}", reason=error), icon=":material/error:")
        st.button(
            tr("Try again") if error else tr("Fetch CIFAR-10"),
            icon=":material/download:",
            key="fetch",
            on_click=download.start,
        )
    st.fragment(watch, run_every=TICK if drawn else IDLE)()
    if drawn:
        st.button(
            tr("Cancel"),
            icon=":material/close:",
            key="cancel_fetch",
            on_click=download.cancel,
            help=tr("Stops it for everyone who waits for it; nothing half done stays."),
        )
    st.stop()


def _progress_text(state: cifar10.Fetching) -> str:
    """`42.1 MB of 170 MB, 8 s left`."""
    whole = cifar10.OFFICIAL.size
    there = dict(part=units.size(state.share * whole), whole=units.size(whole))
    if state.seconds < 1 or not state.share:
        return tr("{part} of {whole}", **there)
    left = units.duration(state.seconds * (1 / state.share - 1))
    return tr("{part} of {whole}, {time} left", **there, time=left)


def _folder() -> str:
    """The data folder, short where it lies inside of the project."""
    folder = cifar10.folder()
    return str(folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder)
