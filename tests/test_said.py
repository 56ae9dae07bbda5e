"""What is kept to be said later: failures of jobs, findings of exports, and reports, each in the
language of whoever reads them.
"""

import dataclasses
import json
import pickle

import pytest

from compression.baselines import baseline
from compression.campaigns import Campaigns
from compression.errors import CompressionError, NotOffered
from compression.exports import export
from compression.grid import Sweep
from compression.jobs import Ask, InlineEngine
from compression.language import speaking
from compression.pipeline import check
from compression.recipe import Recipe, parse_steps
from compression.report import make, to_csv, to_html, to_json
from compression.store import Store

DENSE = baseline("lenet_300_100", "digits")
PRUNED = DENSE.then(*parse_steps("magnitude_pruning:sparsity=0.8"))


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'store.sqlite'}", str(tmp_path / "files"))


def test_an_error_of_another_process_is_said_in_the_language_of_its_reader():
    with pytest.raises(NotOffered) as found:
        check(PRUNED.then(*parse_steps("magnitude_pruning:layers=nowhere=0.5")))
    arrived = pickle.loads(pickle.dumps(found.value))
    assert str(arrived) == str(found.value)
    assert str(arrived).startswith("lenet_300_100: there is no layer 'nowhere'")
    with speaking("zh"):
        assert str(arrived).startswith("lenet_300_100：")


def test_a_failed_job_says_why_to_each_reader(store):
    engine, ask = InlineEngine(store), Ask(DENSE.then(*parse_steps("fine_tune")))
    job = engine.submit(Recipe("lenet5", "digits", DENSE.steps), "anna")
    engine.want("anna", [ask])
    english = job.error, engine.failure(ask)
    assert job.state == "failed" and "16×16" in english[0]
    assert "has to be trained first" in english[1]
    with speaking("zh"):
        assert "必须先训练" in engine.failure(ask)
    assert (job.error, engine.failure(ask)) == english


def test_a_sweep_keeps_why_it_failed_for_readers_of_any_language(store):
    campaigns, sweep = Campaigns(store), Sweep("digits", ("lenet_300_100",))
    campaigns.start(sweep)
    campaigns.fail(
        sweep.digest, CompressionError("{recipe.label}: has to be trained first", recipe=PRUNED)
    )
    with speaking("zh"):
        assert "必须先训练" in campaigns.get(sweep.digest).error
    assert campaigns.get(sweep.digest).error == "prune 80 %: has to be trained first"
    campaigns.note(sweep.digest, error="noted by an earlier version")
    assert campaigns.get(sweep.digest).error == "noted by an earlier version"


def test_findings_of_an_export_are_said_to_each_reader_and_files_stay_as_they_are(store):
    with speaking("zh"):
        made = export("safetensors", PRUNED, "test", store)
        assert made.checked == "已读回：全部 6 个张量逐位相同。"
    assert made.checked == "Read back: all 6 tensors to the bit."
    assert made.data == export("safetensors", PRUNED, "test", store).data


def test_the_page_of_a_report_speaks_its_makers_language_and_its_json_english(store):
    english = make(PRUNED, [], "validation", store)
    with speaking("zh"):
        found = make(PRUNED, [], "validation", store)
        html = to_html(found)
        found = dataclasses.replace(found, when=english.when)
        assert json.loads(to_json(found)) == json.loads(to_json(english))
        assert to_csv(found.runs) == to_csv(english.runs)
    assert '<html lang="zh">' in html and "与稠密网络及其他运行对比" in html
    assert "360 幅测试图像中" in html
    assert '<html lang="en">' in to_html(found)
