"""The smallest files that ship: each is decoded and scored again, and its recipe is beside it."""

import pytest

from benchmarks.records import FOLDER, RECORDS, Row, note, read_rows, summary, table
from compression.pipeline import evaluate_file
from compression.recipe import Recipe

ROWS = read_rows()


def made(name: str, seed: int, size: int = 2_000) -> Row:
    return Row(name, seed, size, 1.0 + seed, 1.5 + seed, 3_000, 60.0)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.name}-{r.seed}")
def test_a_record_scores_what_is_said_of_it(row):
    file = (FOLDER / f"{row.name}-{row.seed}.nnz").read_bytes()
    found = evaluate_file(file)
    assert (found.bytes, found.network) == (row.bytes, RECORDS[row.name].model)
    assert 100 * (1 - found.accuracy.value) == pytest.approx(row.test_error, abs=0.02)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.name}-{r.seed}")
def test_the_recipe_beside_a_record_is_the_one_that_the_benchmark_runs(row):
    text = (FOLDER / f"{row.name}-{row.seed}.json").read_text()
    assert Recipe.from_json(text) == RECORDS[row.name].recipe(row.seed)


def test_nothing_else_lies_there():
    names = {f"{r.name}-{r.seed}.{end}" for r in ROWS for end in ("nnz", "json")}
    assert {p.name for p in FOLDER.iterdir()} == names | {"records.json"}


def test_means_are_of_the_seeds_and_the_best_is_chosen_on_validation():
    (line,) = summary([made("mlp", 1), made("mlp", 0, 1_000)])
    assert (line["bytes"], line["test error"], line["seeds"]) == (1_500, 2.0, 2)
    assert line["best on validation"] == "1000 B, 1.5 %"
    assert table([line]).count("\n") == 2


def test_a_row_replaces_the_one_of_its_seed(tmp_path):
    for row in (made("conv", 0), made("mlp", 1), made("conv", 0, 900)):
        note(row, tmp_path)
    assert read_rows(tmp_path) == [made("mlp", 1), made("conv", 0, 900)]
