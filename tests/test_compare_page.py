"""The Compare page under AppTest, with the inline engine: what differs, linked views, links."""

from collections.abc import Callable
from itertools import product

import pytest
from streamlit.testing.v1 import AppTest

from compression.baselines import baseline
from compression.recipe import Recipe, parse_steps
from pages.parts import comparing

Open = Callable[..., AppTest]
DENSE = baseline("lenet_300_100", "digits")


@pytest.fixture
def open_page(open_page, monkeypatch) -> Open:
    """Opens the Compare page; all is measured in one run of the script."""
    monkeypatch.setattr(comparing, "PATIENCE", 1e9)
    return lambda **query: open_page("compare", **query)


def after(text: str) -> Recipe:
    return DENSE.then(*parse_steps(text))


PRUNED, BOTH = (
    after("magnitude_pruning:sparsity=0.95"),
    after("magnitude_pruning~codebook_quantization:levels=3"),
)


def test_smoke(open_page):
    for view in ("Classes", "Images", "Layers", "Robustness"):
        at = open_page(**comparing.link([PRUNED, BOTH]), compare_view=view)
        print(at.title[0].value, [m.value for m in at.markdown][:6], [c.value for c in at.caption])
        print(at.dataframe[0].value)
        print(dict(at.query_params))
    at = open_page()
    print(at.title[0].value, [m.value for m in at.markdown], [b.label for b in at.button])
    at.button(key="these").click().run()
    assert not at.exception, at.exception
    print(at.title[0].value, dict(at.query_params))
