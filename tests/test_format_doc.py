"""docs/format.md is the truth about the file:

its decoder reads what the library writes, its ids are ours.
"""

import re

import numpy as np
import pytest

from compression.compressed import compress, decompress
from compression.models import NETWORKS
from compression.settings import ROOT
from compression.storage import DATASET_IDS, KIND_IDS, dumps, loads

from .networks import PAIRS, RECIPES, applied, bits, whole_number_network

DOC = (ROOT / "docs" / "format.md").read_text()


@pytest.fixture(scope="module")
def arrays():
    """The decoder of the document, run as it stands there."""
    (code,) = re.findall(r"```python\n(.*?)```", DOC, re.DOTALL)
    names: dict = {}
    exec(compile(code, "docs/format.md", "exec"), names)
    return names["arrays"]


@pytest.mark.parametrize("name", list(RECIPES))
@pytest.mark.parametrize("model, dataset", PAIRS)
def test_the_decoder_of_the_document_gives_the_same_bits(arrays, model, dataset, name):
    network = applied(whole_number_network(model, dataset), dataset, RECIPES[name])
    file = dumps(compress(network, dataset))
    found = {key: np.ascontiguousarray(a, "<f4").tobytes() for key, a in arrays(file).items()}
    assert found == bits(decompress(loads(file)))


def test_the_ids_of_the_document_are_those_of_the_code():
    rows = re.findall(r"\| (\d) \| `(\w+)` \| (\d) \| `(\w+)` \|", DOC)
    assert {name: int(i) for i, name, _, _ in rows} == {n: v.id for n, v in NETWORKS.items()}
    assert {name: int(i) for _, _, i, name in rows} == DATASET_IDS
    kinds = re.findall(r"\| `(\w+)` \| (\d) \|", DOC)
    assert {name: int(i) for name, i in kinds if name in KIND_IDS} == KIND_IDS
