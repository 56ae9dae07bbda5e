"""The Try it page under AppTest, inline engine: images chosen and uploaded, answers, the hunt."""

import io
import json
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from compression.address import TAKEN
from compression.baselines import baseline
from compression.data import load
from compression.recipe import parse_steps
from compression.verdicts import moved
from pages.parts import cached

Open = Callable[..., AppTest]
HARD = "magnitude_pruning:sparsity=0.95~codebook_quantization:levels=4"


@pytest.fixture
def tryit(open_page) -> Open:
    return lambda **query: open_page("tryit", **query)


def text(at: AppTest) -> str:
    found = " ".join(m.value for m in [*at.markdown, *at.caption])
    return found.replace("\u00a0", " ").replace("\u202f", " ").replace("\\", "")


def shares(at: AppTest) -> list[list[float]]:
    """Of both networks, in percent."""
    found = []
    for chart in at.get("plotly_chart"):
        spec = json.loads(chart.proto.spec)
        go.Figure(spec)  # plotly checks every property
        found += [t["x"] for t in spec["data"] if t.get("name") == "shares"]
    return found


def test_an_empty_pad_says_what_to_do(tryit):
    at = tryit()
    assert "Draw a digit" in at.title[0].value and "both networks answer" in text(at)
    assert not at.get("plotly_chart") and not at.exception


@pytest.mark.parametrize("network", ["lenet_300_100", "net", "resnet20", "vit_mini"])
def test_both_networks_answer_a_test_image(tryit, network):
    at = tryit(source="Choose", image="7", network=network)
    label = int(load("digits").test.labels[7])
    assert f"it is {label}" in at.title[0].value
    both = shares(at)
    assert len(both) == 2 and all(sum(s) == pytest.approx(100) for s in both)
    assert len(at.get("plotly_chart")) == 4, "ten shares and where it looks, each"


def test_a_drawing_is_answered(tryit):
    at = tryit()
    at.session_state["drawing"] = [[250, 200, 750, 200, 450, 850]]
    at.run()
    assert "say" in at.title[0].value and len(shares(at)) == 2
    assert "what they see, 8 × 8" in text(at)


def test_an_upload_is_answered_and_a_bad_one_is_one_sentence(tryit):
    at = tryit(source="Upload")
    pixels = np.full((90, 90), 240, np.uint8)
    pixels[10:80, 40:50] = 10
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    at.file_uploader(key="picture").upload("one.png", out.getvalue()).run()
    assert len(shares(at)) == 2
    at.file_uploader(key="picture").upload("one.png", b"no picture").run()
    assert "Not a png or jpeg image" in text(at) and not shares(at) and not at.exception


def test_the_hunt_finds_what_flipped_and_a_press_looks_at_it(tryit):
    at = tryit(recipe=HARD, hunt="true")
    recipe = baseline("lenet_300_100", "digits").then(*parse_steps(HARD))
    base = cached.verdicts(recipe.dense.digest, "test", recipe.dense)
    run = cached.verdicts(recipe.digest, "test", recipe)
    found = moved(base, run)
    assert f"{len(found.lost)} of 360" in text(at) and len(found.lost) > 8
    first = int(found.lost[0])
    at.button(key=f"hunted-{first}").click().run()
    assert at.session_state["source"] == "Choose" and at.session_state["image"] == first
    label, wrong = run.labels[first], run.answers[first]
    assert f"says {label}, compressed it says {wrong}; it is {label}" in at.title[0].value
    at.button(key="others").click().run()
    assert not [b for b in at.button if b.key == f"hunted-{first}"]


def test_a_recipe_that_is_not_trained_says_so(tryit):
    at = tryit(recipe="magnitude_pruning~fine_tune")
    assert "train it first" in at.title[0].value and "training is not stored" in text(at)


def test_another_run_can_be_tried_by_its_link(tryit):
    at = tryit(**{TAKEN: "net~magnitude_pruning:sparsity=0.5"}, source="Choose")
    assert at.session_state["network"] == "net" and len(shares(at)) == 2
    at = tryit(**{TAKEN: "net~nothing"}, source="Choose")
    assert "The run in the link can't be read" in text(at) and len(shares(at)) == 2


@pytest.mark.parametrize(
    "query", [{"image": "9999"}, {"image": "-1"}, {"image": "x"}, {"source": "train"}]
)
def test_junk_in_a_link_gives_the_default(tryit, query):
    at = tryit(**({"source": "Choose"} | query))
    assert not at.exception and at.title[0].value
