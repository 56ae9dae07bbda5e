"""Make the golden files of test_storage again, after the format's version went up:

`python -m tests.make_golden`.
"""

from compression.compressed import compress
from compression.storage import dumps

from .networks import (
    DEEP,
    GOLDEN_RECIPES,
    RECIPES,
    applied,
    small_deep,
    split_int8,
    whole_number_network,
)
from .test_storage import GOLDEN

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for model, dataset, name in GOLDEN_RECIPES:
        network = applied(whole_number_network(model, dataset, 0.2), dataset, RECIPES[name])
        path = GOLDEN / f"{model}-{name.replace(' ', '_').replace(',', '')}.nnz"
        path.write_bytes(dumps(compress(network, dataset)))
    for model in DEEP:
        (GOLDEN / f"{model}-int8.nnz").write_bytes(dumps(compress(split_int8(model), "digits")))
        (GOLDEN / f"{model}-small.nnz").write_bytes(dumps(compress(small_deep(model), "digits")))
