"""The words of the field, each in one sentence: for tooltips, lessons and the list of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Term:
    """word: as it is written within a sentence; text: one sentence; others: other names of it."""

    word: str
    text: str
    others: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As it begins a line; what has capitals of its own keeps them."""
        return self.word if self.word[0] == "." else self.word[0].upper() + self.word[1:]

    @property
    def anchor(self) -> str:
        """Its place in the list of words: small letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.word.lower()).strip("-")

    @property
    def names(self) -> tuple[str, ...]:
        return self.word, *self.others


TERMS = tuple(
    Term(word, text, tuple(filter(None, others.split(", "))))
    for word, others, text in (
        # what is taken away
        ("prune ratio", "",
         "Share of the weights that are set to zero, or of the channels that are taken out."),
        ("sparsity", "", "Share of the weights that are zero; density is the rest."),
        ("K", "", "How many stay: weights that are kept, or columns and units of a student."),
        ("threshold", "", "Size of the smallest weight that is kept; all smaller ones go."),
        ("saliency", "",
         "How much a weight matters, by which the ones to go are chosen: its size, its gradient,"
         " or what it is multiplied with."),
        ("scope", "",
         "Whether the weights of all layers are compared with each other, or each layer's alone."),
        ("non-zero weights", "", "Weights that pruning has left; biases not counted."),
        ("parameters", "", "All numbers that training sets: weights, biases, and those of norms."),
        ("channel pruning", "",
         "Taking whole channels or units out, so that the matrices become smaller and faster."),
        ("low rank", "",
         "A layer written as two thinner ones, which keep only its strongest directions."),
        # how what stays is written
        ("levels", "",
         "How many different values the weights of a layer may take, zero not counted."),
        ("Q", "", "Levels per unit of weight: weights are stored as round(W × Q), read as W / Q."),
        ("step", "",
         "Of levels: the distance between two neighbours, 1 / Q; of a recipe: one change to the"
         " network."),
        ("quantization method", "",
         "How the levels are chosen: evenly, by Q, or where the weights are, as a codebook."),
        ("codebook", "", "Table of the values of a layer; its weights are numbers of its rows."),
        ("rate", "",
         "Price of a bit while a codebook is chosen: the higher, the rarer are rare values."),
        ("symbols", "", "The whole numbers that a file holds in place of weights."),
        ("int8", "QDQ",
         "Weights and activations as whole numbers of 8 bits; in ONNX between pairs of nodes that"
         " quantize and dequantize (QDQ)."),
        ("bits", "", "How long a number is before it is coded: 8 bits tell 256 values apart."),
        ("calibration", "",
         "A pass over some training images, without labels, that sets the ranges of activations."),
        ("SQNR", "",
         "Signal to quantization noise: power of the weights by power of what was changed."),
        # the file
        (".nnz", "file size",
         "The compressed file of the lab, header, tables and biases included; its length is the"
         " size that is shown."),
        ("compression ratio", "", "Bytes of the dense network's fp32 file by bytes of this file."),
        ("bits per weight", "",
         "Bits in the file by weights of the dense network, zeros among them."),
        ("entropy", "",
         "Bits that a symbol needs at least on average, from how often each occurs."),
        ("order-0", "",
         "Entropy of each symbol alone; the coder of the file learns where zeros are, and can need"
         " less."),
        ("Huffman code", "", "Short codes for what is frequent, drawn as a tree; whole bits each."),
        ("deflated size", "", "The network as its framework saves it, deflated as in a zip file."),
        # what it computes
        ("MACs", "multiply-adds",
         "Multiply-adds for one image; without those by zero where not called dense: zeros make"
         " the file smaller, not the network faster."),
        ("latency", "",
         "Time for one batch: the median of many runs, threads and engine stated."),
        ("quartiles", "", "A quarter of the times was below the first, a quarter above the last."),
        # how right it is
        ("accuracy", "", "Share of the images of a split that the network answers right."),
        ("points lost", "",
         "Accuracy against the dense network's in percentage points, on the same images."),
        ("validation split", "",
         "Images that were not trained on and by which settings are chosen; the test split is for"
         " reporting, for who chooses on it fools himself."),
        ("test split", "", "Images that nothing was trained on or chosen by, for the last word."),
        ("estimate", "",
         "A figure from some of the images, marked by ≈ and an open dot, replaced in a moment."),
        ("confidence interval", "Wilson interval",
         "Where the accuracy on endless such images lies, with 95 % certainty, by Wilson's"
         " formula."),
        ("McNemar's test", "",
         "Whether two networks differ by more than chance, from the images that only one of them"
         " gets right."),
        ("within noise", "",
         "Chance alone explains a difference as large as this one."),
        ("cross-entropy", "loss",
         "What training makes small: minus the logarithm of the share that the true label gets,"
         " mean over images."),
        ("ECE", "calibration error",
         "Expected calibration error: how far certainty and accuracy are apart on average."),
        ("KL", "",
         "How far the answers of two networks are apart, in nats, mean over images; 0 where both"
         " say the same."),
        ("flips", "", "Images that only the one, or only the other of two networks has right."),
        ("truth", "", "Share that the true label gets in the network's answer, mean over images."),
        ("occlusion", "",
         "A square of the image is covered: where the answer suffers, the network looked."),
        # training
        ("fine-tuning", "",
         "Training on after compressing, with the zeros and levels kept."),
        ("straight-through", "",
         "Training that computes with rounded weights and lets the gradient pass the rounding"
         " unchanged."),
        ("epochs", "", "Times that training sees every image of the training split."),
        ("distillation", "", "Training a small network to answer as a large one does."),
        ("teacher", "", "The large network whose answers a student learns from."),
        ("student", "", "The small network that is trained to answer as its teacher does."),
        ("student size", "width",
         "Share of the hidden units, or channels, of each layer that the student keeps."),
        ("student depth", "depth", "Share of the blocks that each stage of the student keeps."),
        ("initial weights", "",
         "Where a student begins: with the teacher's first K columns, its K largest units, or"
         " chance."),
        ("temperature", "",
         "Softens the teacher's answers: above 1, they tell how alike the classes look."),
        ("alpha", "",
         "Share of the teacher's answers in the loss; the rest are the true labels. 0: without"
         " teacher."),
        ("hint", "",
         "What else of the teacher a student follows: which images look alike to it, or where it"
         " looks."),
        ("learning rate", "", "How far training moves the weights at each batch."),
        ("batch", "", "How many images training looks at before it moves the weights."),
        # choosing
        ("recipe", "", "Data, network, seed and steps, in order: all that a run follows from."),
        ("digest", "", "Short fingerprint of a recipe: same recipe, same digest."),
        ("seed", "", "Number from which all chance of a run follows: same seed, same numbers."),
        ("baseline", "", "The dense network as it was trained, which all else is compared with."),
        ("dominated", "",
         "Beaten: another run is as good in both axes and better in at least one."),
        ("Pareto front", "front", "The runs that are not dominated by any other."),
        ("hypervolume", "",
         "Area that a front covers from a reference point on: the larger, the more it reaches."),
    )
)  # fmt: skip


# what labels say where they mean a term: no names of it
LABELS = {
    "against dense": "within noise",
    "bits each": "bits per weight",
    "bytes": ".nnz",
    "change": "McNemar's test",
    "criterion": "saliency",
    "entropy bound": "entropy",
    "epoch": "epochs",
    "file": ".nnz",
    "fronts": "Pareto front",
    "go to run": "digest",
    "initial": "initial weights",
    "interval": "confidence interval",
    "median": "latency",
    "milliseconds": "latency",
    "nonzero": "non-zero weights",
    "points": "points lost",
    "pruning method": "saliency",
    "score on": "validation split",
    "stay": "non-zero weights",
    "test": "test split",
    "train on": "fine-tuning",
    "validation": "validation split",
}


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Term]:
    found = {_plain(name): t for t in TERMS for name in t.names}
    return found | {label: found[_plain(word)] for label, word in LABELS.items()}


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Every name, the longest first; those of one letter as they are written, in capitals."""
    names = sorted(_by_name(), key=len, reverse=True)
    parts = [re.escape(n) if len(n) == 1 else f"(?i:{re.escape(n)})" for n in names]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])")


def _plain(name: str) -> str:
    return name if len(name) == 1 else name.lower()


def term(word: str) -> Term:
    """The term of this name. Raises KeyError, for a name in code is never a guess."""
    return _by_name()[_plain(word)]


def named_in(text: str) -> tuple[Term, ...]:
    """The terms that a label names, in their order; a longer name goes before one within it."""
    return tuple(dict.fromkeys(term(match.group()) for match in _pattern().finditer(text)))


def about(label: str, more: str = "") -> str:
    """What the terms of a label mean, as Markdown; more: what is true of this place alone, behind
    it. A label that names no term has no more to say than that.
    """
    terms = named_in(label)
    if len(terms) < 2:
        return " ".join(filter(None, (*(t.text for t in terms), more)))
    return "  \n".join(filter(None, (*(f"**{t.title}**: {t.text}" for t in terms), more)))


def search(words: str) -> list[Term]:
    """The terms in whose name or sentence all these words occur, by name; all for none."""
    wanted = words.lower().split()
    there = (t for t in TERMS if all(w in " ".join((*t.names, t.text)).lower() for w in wanted))
    return sorted(there, key=lambda t: t.title.lstrip(".").lower())
