"""The list of pages and the page's frame, nothing else."""

if (
    __name__ == "__main__"
):  # workers are spawned and import this file again: they must not draw pages
    import streamlit as st

    from compression.language import tr
    from compression.settings import settings
    from pages.parts import languages

    languages.listen()

    st.set_page_config(
        "Compression Lab", "assets/icon.png", layout="wide", initial_sidebar_state=260
    )
    st.navigation(
        [
            st.Page("pages/compress.py", title=tr("Compress"), url_path="compress", default=True),
            st.Page("pages/layers.py", title=tr("Layers"), url_path="layers"),
            st.Page("pages/distill.py", title=tr("Distill"), url_path="distill"),
            st.Page("pages/recipes.py", title=tr("Recipes"), url_path="recipes"),
            st.Page("pages/search.py", title=tr("Search"), url_path="search"),
            st.Page("pages/tradeoff.py", title=tr("Trade-off"), url_path="tradeoff"),
            st.Page("pages/compare.py", title=tr("Compare"), url_path="compare"),
            st.Page("pages/tryit.py", title=tr("Try it"), url_path="tryit"),
            st.Page("pages/learn.py", title=tr("Learn"), url_path="learn"),
            st.Page("pages/export.py", title=tr("Export"), url_path="export"),
            st.Page(
                "pages/board.py",
                title=tr("Board"),
                url_path="board",
                visibility="visible" if settings().board else "hidden",
            ),
        ],
        position="top",
    ).run()
