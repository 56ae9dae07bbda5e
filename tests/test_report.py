"""The report of a run: its values, its sentences, JSON, CSV, and the one HTML file."""

import csv
import dataclasses
import io
import json
import re
import shlex
from html.parser import HTMLParser

import pytest

from compression import speed
from compression.__main__ import main
from compression.baselines import baseline
from compression.errors import InvalidInput, JobError
from compression.labels import Label
from compression.price import Prices
from compression.recipe import Recipe, parse_steps
from compression.references import counterparts, reference_of
from compression.report import (
    RUN_FIELDS,
    VERSION,
    Report,
    Text,
    make,
    summary,
    to_csv,
    to_dict,
    to_html,
    to_json,
    wanted,
)
from compression.settings import ROOT
from compression.store import Store

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}</script>'


def recipe(steps: str = "", network: str = "lenet_300_100") -> Recipe:
    return baseline(network, "digits").then(*parse_steps(steps))


PRUNED = recipe("magnitude_pruning:sparsity=0.8~codebook_quantization:levels=8")
OTHER = recipe("magnitude_pruning:sparsity=0.5")


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Store:
    home = tmp_path_factory.mktemp("reports")
    return Store(f"sqlite:///{home / 'store.sqlite'}", str(home / "files"))


@pytest.fixture(scope="module")
def report(kept) -> Report:
    return make(PRUNED, [OTHER], "validation", kept)


def plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


class Page(HTMLParser):
    """tags: every element with its attributes; text: what is read, scripts and style left out."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = [tag]

    def handle_data(self, data):
        if self.inside[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", plain(" ".join(self.words)))


def test_a_report_has_the_dense_network_the_run_the_others_and_its_fair_references(report):
    assert [row.role for row in report.rows] == [
        "dense", "chosen", "other", "reference", "reference",
    ]  # fmt: skip
    assert [row.letter for row in report.rows] == ["", "A", "B", "", ""]
    assert report.chosen.recipe == PRUNED and report.dense.recipe == PRUNED.dense
    assert all(row.result.test for row in report.rows), "all are scored on the test images"
    references = [row.result.recipe for row in report.rows if row.role == "reference"]
    assert references == [*counterparts(PRUNED).values()]
    assert report.rows[2].against.difference == pytest.approx(
        report.rows[2].result.test.value - report.chosen.test.value
    )


def test_the_counterparts_have_as_much_of_everything():
    found = counterparts(recipe("taylor_pruning:sparsity=0.7,scope=layer~fine_tune"))
    assert [s.text for s in found["random"].steps[1:]] == [
        "random_pruning:sparsity=0.7,scope=layer", "fine_tune",
    ]  # fmt: skip
    assert counterparts(recipe("random_pruning~uniform_quantization")) == {}


def test_the_counterparts_of_training_for_bytes_have_its_bytes():
    found = counterparts(recipe("train_for_bytes:bytes=4300,width=0.3,levels=3"))
    assert {key: r.steps[-1].text for key, r in found.items()} == {
        "plain": "train_for_bytes:bytes=4300,levels=3,rate=0.0,teacher=none,copies=0",
        "undistorted": "train_for_bytes:bytes=4300,width=0.3,levels=3,copies=0",
        "alone": "train_for_bytes:bytes=4300,width=0.3,levels=3,teacher=none",
    }
    assert all(reference_of(r) == key for key, r in found.items())


def test_the_file_is_read_and_scored_again(report, kept):
    assert report.holds and report.check.accuracy.correct == report.chosen.test.correct
    changed = dataclasses.replace(report.check, bytes=report.check.bytes + 1)
    assert not dataclasses.replace(report, check=changed).holds
    assert kept.file(PRUNED.digest) is not None, "a reported run is a kept one"


def test_what_has_to_be_trained_first_is_said(kept):
    tuned = recipe("magnitude_pruning~fine_tune")
    with pytest.raises(JobError, match="has to be trained first"):
        make(tuned, [], "validation", kept)
    assert tuned not in wanted(tuned, [OTHER], kept) and OTHER in wanted(tuned, [OTHER], kept)


def test_wrong_companions_are_refused(kept):
    with pytest.raises(InvalidInput, match="of one data set"):
        make(PRUNED, [baseline("net", "mnist").then(*PRUNED.steps[1:])], "validation", kept)
    many = [recipe(f"codebook_quantization:levels={n}") for n in range(2, 10)]
    with pytest.raises(InvalidInput, match="at most 7 runs beside"):
        make(PRUNED, many, "validation", kept)


# sentences


def scored(report: Report, lost: int, won: int, ratio: float = 10.0) -> Report:
    """The report as if so many of its test images had been lost and won."""
    from compression.evaluation import changed, wilson

    score = report.chosen.test
    right = min(score.total, round(report.dense.test.value * score.total) + won - lost)
    test = dataclasses.replace(
        score, correct=right, metric=wilson(right, score.total),
        change=changed(lost, won, score.total),
    )  # fmt: skip
    base = dataclasses.replace(
        report.chosen.baseline, fp32_bytes=round(ratio * report.chosen.cost.bytes)
    )
    result = dataclasses.replace(report.chosen, test=test, baseline=base)
    rows = tuple(
        dataclasses.replace(row, result=result) if row.role == "chosen" else row
        for row in report.rows
    )
    return dataclasses.replace(report, rows=rows)


def test_the_summary_says_no_measurable_loss_with_both_accuracies_and_the_interval(report):
    said = plain(summary(scored(report, 3, 1, 17.2)))
    assert said.startswith("LeNet-300-100 on Digits 8×8 is 17 times smaller: ")
    assert "Of 360 test images it gets 98.06 % right, the original 98.61 %" in said
    assert "no measurable loss (difference −0.56 points, 95 % interval −1.64 to +0.53)" in said


def test_the_summary_says_a_loss_as_plainly(report):
    said = plain(summary(scored(report, 30, 2)))
    assert "7.78 points lost (95 % interval 4.80 to 10.75), more than chance explains" in said
    assert "no measurable" not in said


def test_the_summary_says_a_gain_and_a_file_that_is_not_smaller(report):
    said = plain(summary(scored(report, 0, 6, 0.8)))
    assert "is not smaller: " in said
    assert "1.67 points gained (95 % interval 0.34 to 2.99)" in said
    assert "no measurable loss" in summary(scored(report, 5, 0)), "p = 0.06 is within noise"


def test_the_summary_names_the_class_that_suffers(report):
    def hurt(*places: int) -> Report:
        classes = tuple(
            dataclasses.replace(
                c, p_value=0.001 if c.place in places else 1.0,
                change=dataclasses.replace(c.change, difference=-0.01 * (c.place + 1)),
            )
            for c in report.lost.classes
        )  # fmt: skip
        return dataclasses.replace(report, lost=dataclasses.replace(report.lost, classes=classes))

    assert "No class lost more than chance explains." in summary(hurt())
    assert "Class 3 suffers: 4.0 points lost." in summary(hurt(3))
    assert "2 classes lost more than chance explains, most of all class 8" in summary(hurt(3, 8))


@pytest.mark.parametrize(
    "times, said",
    [
        ((2.13, 2.0, 2.3), "It is 2.1 times as fast as the original for one image in ONNX Runtime"),
        ((1.02, 0.9, 1.1), "No difference in speed was measured for one image"),
        ((0.51, 0.5, 0.6), "It is 0.5 times as fast as the original"),
    ],
)
def test_the_summary_says_how_fast_it_is_where_that_was_measured(report, times, said):
    one = speed.Timing("onnxruntime", "fp32", 1, 1, 0.5, 0.4, 0.6, 9, *times, 0.0)
    other = dataclasses.replace(one, batch=256, faster=9.0)
    torch = dataclasses.replace(one, engine="torch", faster=9.0)
    timed = speed.Speed(
        PRUNED.digest, (one, other, torch), (one, other, torch), report.machine, {}, 0.0
    )
    assert said in summary(dataclasses.replace(report, speed=timed))
    assert "as fast" not in summary(report)
    loud = dataclasses.replace(timed, timings=(dataclasses.replace(one, others=1.5),))
    busy = "the machine was busy" in summary(dataclasses.replace(report, speed=loud))
    assert busy == ("times as fast" in said)


def test_a_dense_network_has_a_report_too(kept):
    found = make(recipe(), [], "validation", kept)
    assert "gets 98.61 % right (95 % interval" in plain(summary(found))
    page = Page(to_html(found))
    assert "What it unlearned" not in page.text and "1.2× smaller" in page.text


# JSON and CSV


def test_the_json_says_what_the_store_says(report):
    d = json.loads(to_json(report, Text(title="Ours"), Prices({"installs": 5}), "http://lab/x"))
    assert (d["format"], d["version"], d["digest"]) == (
        "compression-lab-report", VERSION, PRUNED.digest,
    )  # fmt: skip
    chosen = next(run for run in d["runs"] if run["role"] == "chosen")
    assert chosen["bytes"] == report.chosen.cost.bytes == d["check"]["bytes"]
    assert chosen["test_accuracy"] == report.chosen.test.value
    assert Recipe.from_dict(d["recipe"]) == PRUNED
    assert sum(part["bytes"] for part in d["bytes"]["parts"]) == chosen["bytes"]
    assert d["title"] == "Ours" and d["cost"]["inputs"]["installs"] == 5
    assert d["repeat"]["link"] == "http://lab/x" and d["speed"] is None


def paths(value: object, at: str = "") -> set[str]:
    """Every key of nested values, `a.b`, `a[].b`; not what is inside of recipes and speeds."""
    if isinstance(value, list):
        return set().union(*(paths(v, f"{at}[]") for v in value)) if value else set()
    if not isinstance(value, dict) or at in ("recipe", "speed", "made.versions", "cost.inputs"):
        return {at}
    return set().union(*(paths(v, f"{at}.{k}".lstrip(".")) for k, v in value.items()))


def test_the_document_describes_every_field(report):
    text = (ROOT / "docs" / "report.md").read_text()
    listed = set(re.findall(r"^\| `([^`]+)`", text, re.MULTILINE))
    fields = {p for p in paths(to_dict(report)) if p not in {f"runs[].{f}" for f in RUN_FIELDS}}
    fields |= {*RUN_FIELDS}
    missing = {f for f in fields if f.removesuffix("[]") not in listed}
    assert not missing
    assert f"version {VERSION}" in text


def test_the_csv_has_a_row_for_each_run_the_reported_ones_first(report, kept):
    rows = list(csv.DictReader(io.StringIO(to_csv(report.runs))))
    assert list(rows[0]) == list(RUN_FIELDS)
    assert [r["digest"] for r in rows][:3] == [
        r.result.digest for r in report.rows
    ][:3]  # fmt: skip
    stored = {r.digest for r in kept.runs("digits", "lenet_300_100")}
    assert {r["digest"] for r in rows} >= {row.result.digest for row in report.rows}
    assert {r["digest"] for r in rows} <= stored | {row.result.digest for row in report.rows}
    assert float(rows[1]["test_accuracy"]) == report.chosen.test.value


def test_a_spreadsheet_does_not_compute_a_name(report):
    evil = {**report.runs[0], "name": "=1+1"}
    (row,) = csv.DictReader(io.StringIO(to_csv([evil])))
    assert row["name"] == "'=1+1"


# HTML


def test_the_page_asks_for_nothing_and_lets_only_its_own_scripts_run(report):
    page = Page(to_html(report, link="http://lab.example/export?run=x"))
    sources = [a[k] for _, a in page.tags for k in ("src", "srcset", "data") if a.get(k)]
    assert sources and all(s.startswith("data:image/png;base64,") for s in sources)
    assert not [t for t, _ in page.tags if t in ("link", "iframe", "object", "embed", "base")]
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert not [k for _, a in page.tags for k in a if k.startswith("on")]


def test_what_people_write_stays_text(report, kept):
    text = Text(EVIL[:120], EVIL, EVIL)
    page = Page(to_html(report, text, Prices(currency="<b>")))
    clean = Page(to_html(report, Text("a", "b", "c")))
    assert [t for t, _ in page.tags] == [t for t, _ in clean.tags]
    assert "{{ 7 * 7 }}" in page.text and "alert(1)" in page.text
    kept.put_label(PRUNED.digest, Label(name=EVIL[:60], note=EVIL))
    named = make(PRUNED, [OTHER], "validation", kept)
    kept.put_label(PRUNED.digest, Label())
    assert {t for t, _ in Page(to_html(named)).tags} == {t for t, _ in clean.tags}
    assert (
        to_dict(named)["title"] == EVIL[:60].strip()
        and EVIL[:60].strip() in Page(to_html(named)).text
    )


@pytest.mark.parametrize(
    "field, text, sentence",
    [
        ("title", "x" * 121, "title has at most 120 characters, got 121"),
        ("title", "two\nlines", "title must be readable text"),
        ("note", "\x00", "note must be readable text"),
    ],
)
def test_text_that_is_too_long_or_unreadable_is_refused(field, text, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        Text(**{field: text})


def test_the_page_says_how_fast_it_is_or_how_to_measure_it(report, kept):
    said = Page(to_html(report)).text
    assert "Not measured. To measure it" in said and "python -m compression speed" in said
    assert "Smaller file, not faster" in said
    cut = recipe("channel_pruning:ratio=0.5")
    speed.measure(cut, kept, pace=speed.Pace(turns=3, seconds=0.001, tries=1))
    found = make(cut, [], "validation", kept)
    assert found.speed is not None and found.computes_less
    said = Page(to_html(found)).text
    assert 'data-figure="speed"' in to_html(found)
    assert "ONNX Runtime, floats" in said and "Not measured. To" not in said
    assert f"{found.speed.timings[0].faster:.2f}" in said and "not faster" not in said


def test_the_page_has_every_digest_and_every_figure_of_its_table(report):
    said = Page(to_html(report)).text
    for row in report.rows:
        assert row.result.digest in said
        assert f"{100 * row.result.test.value:.2f} %" in said
    assert report.chosen.file_digest in said and "Checked." in said


def test_a_file_that_is_not_the_same_here_says_so(report):
    check = dataclasses.replace(report.check, digest="0" * 32)
    said = Page(to_html(dataclasses.replace(report, check=check))).text
    assert "Not the same here." in said and "Checked." not in said


def test_of_many_layers_the_table_has_the_largest_and_all_bytes(kept):
    found = make(recipe("codebook_quantization:levels=9", "resnet20"), [], "validation", kept)
    html = to_html(found)
    table = html[html.index("<th>Bytes in the file</th>") : html.index("whole file")]
    row = r'<th scope="row">([^<]+)</th><td>([^<]+)</td>'
    rows = [(name, int(plain(n).replace(" ", ""))) for name, n in re.findall(row, table)]
    assert len(rows) == 13 and rows[-1][0].endswith("others")
    assert sum(n for _, n in rows) == found.chosen.cost.bytes


def test_thousands_of_runs_are_drawn_by_their_fronts_alone(report):
    plane = report.plane
    many = tuple(run._replace(digest=f"{i:016x}") for i in range(2_000) for run in plane.runs[:1])
    crowded = dataclasses.replace(report, plane=plane._replace(runs=[*plane.runs, *many]))
    assert len(to_html(crowded)) < len(to_html(report)) + 200_000


# the command line

WORDS = (
    "report --model lenet_300_100 --dataset digits --step magnitude_pruning:sparsity=0.8".split()
)


def test_the_command_writes_the_page_and_the_csv_and_prints_the_json(tmp_path, capsys):
    other = tmp_path / "other.json"
    other.write_text(OTHER.to_json())
    out, table = tmp_path / "report.html", tmp_path / "runs.csv"
    options = ["--out", str(out), "--csv", str(table), "--beside", str(other), "--json"]
    options += ["--title", "Ours", "--cost", "installs=5", "--address", "http://lab:8501/"]
    assert main([*WORDS, *options]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["title"] == "Ours" and printed["cost"]["inputs"]["installs"] == 5
    assert [run["role"] for run in printed["runs"]] == ["dense", "chosen", "other", "reference"]
    assert printed["repeat"]["link"].startswith("http://lab:8501/export?network=LeNet-300-100&")
    page = Page(out.read_text())
    assert printed["digest"] in page.text and "Ours" in page.text
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert {OTHER.digest, printed["digest"]} <= {row["digest"] for row in rows}


def test_the_command_repeats_what_the_report_says(report, tmp_path, monkeypatch, capsys):
    said = Page(to_html(report)).text
    line = shlex.split(said[said.index("python -m compression report") :].split(" In Python")[0])
    monkeypatch.chdir(tmp_path)
    assert main(line[3:]) == 0
    assert f"report-lenet_300_100-digits-{PRUNED.digest}.html: " in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--cost", "installs"], "not of the form INPUT=NUMBER"),
        (["--cost", "beer=3"], "unknown input of the cost 'beer'"),
        (["--address", "javascript:alert(1)"], "begins with http:// or https://"),
        (["--beside", "nothing.json"], "nothing.json: No such file"),
        (["--title", "x" * 121], "title has at most 120 characters"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_nothing_is_written(options, sentence, tmp_path, capsys):
    out = tmp_path / "report.html"
    assert main([*WORDS, "--out", str(out), *options]) == 2
    assert sentence in capsys.readouterr().err and not out.exists()
