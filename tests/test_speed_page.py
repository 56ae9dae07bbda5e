"""The Speed view of the Export page under AppTest, with the inline engine."""

from collections.abc import Callable
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from compression import speed
from compression.baselines import baseline
from compression.jobs import Job, speed_key
from compression.recipe import Recipe, parse_steps
from compression.speed import Pace, stored
from pages.parts import cached

Open = Callable[..., AppTest]
CUT = "channel_pruning:ratio=0.5"


@pytest.fixture
def open_page(open_page, monkeypatch) -> Open:
    quick = partial(speed.measure, pace=Pace(turns=2, seconds=0.001, tries=1))
    monkeypatch.setattr("compression.jobs.engine.measure", quick)
    return lambda steps=CUT, **query: open_page(
        "export", network="lenet_300_100", recipe=steps, export_view="Speed", **query
    )


def recipe(steps: str = CUT) -> Recipe:
    return baseline("lenet_300_100", "digits").then(*parse_steps(steps))


def words(at: AppTest) -> str:
    text = " ".join(m.value for m in [*at.markdown, *at.caption])
    return text.replace("\\", "").replace("\u00a0", " ")


def press(at: AppTest) -> AppTest:
    at.button(key="measure").click().run()
    assert not at.exception, [e.value for e in at.exception]
    return at


def test_nothing_is_shown_before_it_was_measured(open_page):
    at = open_page()
    assert at.button(key="measure").label == "Measure" and not at.dataframe
    assert "No training runs meanwhile" in words(at)
    assert stored(cached.engine().store, recipe().digest) is None


def test_pressing_measures_and_shows_times_beside_the_dense_network(open_page):
    at = press(open_page())
    found = stored(cached.engine().store, recipe().digest)
    assert found is not None
    first, second = (frame.value for frame in at.dataframe)
    rows = [t for t in found.timings if t.engine == "onnxruntime"]
    assert len(first) == len(rows) + len(rows) // 2, "floats and int8, dense once for both"
    assert set(first["Network"]) == {"dense, floats", "this, floats", "this, int8"}
    shown = first[first["Network"] == "this, floats"]["Faster"]
    assert list(shown) == [t.faster for t in rows if t.kind == "fp32"]
    assert set(second["Network"]) == {"dense, floats", "this, floats"}
    assert "the engine's doing, not the compression's" in words(at)
    assert found.machine.processor in words(at) and found.versions["onnxruntime"] in words(at)
    assert at.button(key="measure").label == "Measure again"


def test_who_opens_the_link_later_sees_the_same_measurement(open_page):
    press(open_page())
    found = stored(cached.engine().store, recipe().digest)
    at = open_page()
    assert found is not None and len(at.dataframe) == 2


@pytest.mark.parametrize(
    "steps, said",
    [
        ("magnitude_pruning", "shapes of the dense network"),
        ("codebook_quantization", "shapes of the dense network"),
        (f"{CUT}~magnitude_pruning", "that is what its zeros give"),
        (CUT, ""),
        ("activation_quantization", ""),
    ],
)
def test_zeros_are_said_to_make_the_file_smaller_and_not_faster(open_page, steps, said):
    text = words(open_page(steps))
    assert ("Smaller file, not faster" in text) == bool(said) and said in text


def test_int8_has_no_row_of_floats_and_none_of_torch(open_page):
    at = press(open_page("activation_quantization"))
    (table,) = (frame.value for frame in at.dataframe)
    assert set(table["Network"]) == {"dense, floats", "this, int8"}


def test_a_measurement_under_way_shows_its_progress_and_no_button(open_page):
    open_page()
    job = Job(recipe(), alone=True, given=True)
    cached.engine().jobs[speed_key(recipe().digest)] = job
    at = open_page()
    assert "measure" not in {b.key for b in at.button}
    assert any("speed of channels" in p.proto.text for p in at.get("progress"))


def test_one_that_failed_says_why_and_can_be_repeated(open_page):
    open_page()
    job = Job(recipe(), alone=True, state="failed", error="its worker died")
    cached.engine().jobs[job.key] = job
    at = open_page()
    assert "It failed: its worker died" in words(at) and at.button(key="measure")
