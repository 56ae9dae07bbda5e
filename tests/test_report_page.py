"""The Report view of the Export page under AppTest, with the inline engine."""

import json
from urllib.parse import parse_qsl

import pytest
from streamlit.testing.v1 import AppTest

from compression.address import recipe_text
from compression.baselines import baseline
from compression.labels import Label
from compression.pipeline import run
from compression.price import LINES
from compression.recipe import Recipe, parse_steps
from pages.parts import cached, reporting

PLAIN = "magnitude_pruning:sparsity=0.9~codebook_quantization:levels=16"


@pytest.fixture
def open_report(open_page):
    cached.checked.clear()
    cached.report.clear()
    return lambda **query: open_page("export", **{"export_view": "Report", **query})


def recipe(steps: str = PLAIN, network: str = "lenet_300_100") -> Recipe:
    return baseline(network, "digits").then(*parse_steps(steps))


def words(at: AppTest) -> str:
    text = " ".join(m.value for m in [*at.markdown, *at.caption])
    return text.replace("\\", "").replace("\u00a0", " ")


def takes(at: AppTest) -> list[str]:
    return [b.label for b in at.get("download_button") if "report" in (b.key or "")]


FILES = ["Report (.html)", "JSON (.json)", "Runs (.csv)"]


@pytest.mark.parametrize("network", ["lenet_300_100", "resnet20", "vit_mini"])
def test_a_report_of_each_kind_of_network_is_offered(open_report, network):
    at = open_report(network=network)
    assert takes(at) == FILES
    summary = at.text_area(key=f"report_summary-{recipe(network=network).digest}").value
    assert "times smaller" in summary and "360 test images" in summary.replace("\u202f", " ")


def test_the_costs_are_worked_out_with_the_inputs_of_the_page(open_report):
    at = open_report()
    before = at.table[0].value
    assert list(before[""]) == [line.title for line in LINES.values()]
    at.number_input(key="cost_installs").set_value(1_000.0).run()
    at.text_input(key="cost_currency").set_value("€").run()
    after = at.table[0].value
    assert not at.exception
    assert list(before["Formula"]) == list(after["Formula"])
    at_price = [line.title for line in LINES.values()].index("Price of that traffic")
    assert after["This file"][at_price] == "below €0.01"
    assert list(before["This file"])[:5] == list(after["This file"])[:5], "times are the same"


def shown(at: AppTest) -> str:
    """The page in the preview."""
    (frame,) = at.get("iframe")
    return frame.proto.srcdoc


def test_words_and_runs_are_edited_before_it_is_taken_away(open_report):
    at = open_report()
    other = recipe("magnitude_pruning:sparsity=0.5")
    run(other, cached.engine().store)
    at.run()
    digest = recipe().digest
    at.text_input(key=f"report_title-{digest}").set_value("Ours <script>").run()
    at.text_area(key=f"report_note-{digest}").set_value("For the review").run()
    at.multiselect(key="beside_picked").select(other.digest).run()
    at.toggle(key="report_preview").set_value(True).run()
    assert not at.exception and takes(at) == FILES
    html = shown(at)
    assert "Ours &lt;script&gt;" in html and "For the review" in html and other.digest in html
    assert recipe_text(other) in at.query_params["beside"]


def test_the_run_s_own_name_and_note_are_where_words_begin(open_report):
    at = open_report()
    digest = recipe().digest
    cached.engine().store.put_label(digest, Label("Chosen one", "A note"))
    cached.report.clear()
    at = open_report()
    assert at.text_input(key=f"report_title-{digest}").value == "Chosen one"
    assert at.text_area(key=f"report_note-{digest}").value == "A note"


def test_a_link_names_the_runs_beside(open_report):
    other = recipe("codebook_quantization:levels=5")
    query = reporting.link(recipe(), [recipe(), other])
    assert query["export_view"] == "Report" and recipe_text(other) == query["beside"]
    at = open_report(**query)
    assert at.multiselect(key="beside_picked").value == [other.digest]
    assert takes(at) == FILES


def test_runs_of_a_link_that_can_t_be_read_or_are_not_trained_are_left_out(open_report):
    at = open_report(beside="net~magic~~lenet_300_100~magnitude_pruning~fine_tune")
    said = words(at)
    assert "A run of the link can't be read" in said and "has to be trained first" in said
    assert takes(at) == FILES


def test_text_that_is_not_allowed_is_one_sentence_and_no_file(open_report):
    at = open_report()
    at.text_input(key=f"report_title-{recipe().digest}").set_value("a\x07").run()
    assert "title must be readable text" in words(at) and not takes(at)


def test_a_failing_check_says_why(open_report, monkeypatch):
    from compression.errors import StoreError

    def gone(*_: object) -> None:
        raise StoreError("the file is damaged")

    monkeypatch.setattr(cached, "_checked", gone)
    at = open_report()
    assert "It can't be reported: the file is damaged" in words(at) and not takes(at)


def test_the_page_offers_what_the_library_makes(open_report):
    at = open_report()
    r = recipe()
    found = cached.report(r.digest, (), "validation", (r,))
    assert json.loads(reporting.to_json(found))["digest"] == r.digest
    assert found.holds and not at.exception


def test_trade_off_and_compare_lead_to_the_report_of_their_runs(open_report, open_page):
    at = open_report()
    store, mine, other = cached.engine().store, recipe(), recipe("magnitude_pruning:sparsity=0.5")
    run(other, store)
    at = open_page("tradeoff", run=mine.digest)
    assert _link(at) == reporting.link(mine)
    at = open_page("compare", runs=f"{mine.digest},{other.digest}")
    assert _link(at) == reporting.link(mine, [mine.dense, other])


def _link(at: AppTest) -> dict[str, str]:
    """Query of the link to the report."""
    (found,) = (x.proto for x in at.get("page_link") if x.proto.label == "Report")
    return dict(parse_qsl(found.query_string))
