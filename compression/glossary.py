"""The words of the field, each in one sentence: for tooltips, lessons and the list of words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from .language import LANGUAGES, marked, original, speaking, tr


@dataclass(frozen=True)
class Term:
    """word: as the code calls it, and as it is written within an English sentence; sentence: what
    it means; aliases: other names of it. title, text and others are what people read.
    """

    word: str
    sentence: str
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """As it begins a line; what has capitals of its own keeps them."""
        said = tr(self.word)
        return said[0].upper() + said[1:]

    @property
    def text(self) -> str:
        """The sentence."""
        return tr(self.sentence)

    @property
    def others(self) -> tuple[str, ...]:
        """The other names."""
        return tuple(map(tr, self.aliases))

    @property
    def anchor(self) -> str:
        """Its place in the list of words, in any language: small letters, digits and hyphens."""
        return re.sub(r"[^a-z0-9]+", "-", self.word.lower()).strip("-")

    @property
    def names(self) -> tuple[str, ...]:
        return self.word, *self.aliases


TERMS = (
    # what is taken away
    Term(marked("prune ratio"),
         marked("Share of the weights that are set to zero, or of the channels that are taken"
                " out.")),
    Term(marked("sparsity"), marked("Share of the weights that are zero; density is the rest.")),
    Term(marked("K"),
         marked("How many stay: weights that are kept, or columns and units of a student.")),
    Term(marked("threshold"),
         marked("Size of the smallest weight that is kept; all smaller ones go.")),
    Term(marked("saliency"),
         marked("How much a weight matters, by which the ones to go are chosen: its size, its"
                " gradient, or what it is multiplied with.")),
    Term(marked("scope"),
         marked("Whether the weights of all layers are compared with each other, or each layer's"
                " alone.")),
    Term(marked("non-zero weights"), marked("Weights that pruning has left; biases not counted.")),
    Term(marked("parameters"),
         marked("All numbers that training sets: weights, biases, and those of norms.")),
    Term(marked("channel pruning"),
         marked("Taking whole channels or units out, so that the matrices become smaller and"
                " faster.")),
    Term(marked("low rank"),
         marked("A layer written as two thinner ones, which keep only its strongest"
                " directions.")),
    # how what stays is written
    Term(marked("levels"),
         marked("How many different values the weights of a layer may take, zero not counted.")),
    Term(marked("Q"),
         marked("Levels per unit of weight: weights are stored as round(W × Q), read as W / Q.")),
    Term(marked("step"),
         marked("Of levels: the distance between two neighbours, 1 / Q; of a recipe: one change to"
                " the network.")),
    Term(marked("quantization method"),
         marked("How the levels are chosen: evenly, by Q, or where the weights are, as a"
                " codebook.")),
    Term(marked("codebook"),
         marked("Table of the values of a layer; its weights are numbers of its rows.")),
    Term(marked("rate"),
         marked("Price of a bit while a codebook is chosen: the higher, the rarer are rare"
                " values.")),
    Term(marked("symbols"), marked("The whole numbers that a file holds in place of weights.")),
    Term(marked("int8"),
         marked("Weights and activations as whole numbers of 8 bits; in ONNX between pairs of"
                " nodes that quantize and dequantize (QDQ)."), (marked("QDQ"),)),
    Term(marked("bits"),
         marked("How long a number is before it is coded: 8 bits tell 256 values apart.")),
    Term(marked("calibration"),
         marked("A pass over some training images, without labels, that sets the ranges of"
                " activations.")),
    Term(marked("SQNR"),
         marked("Signal to quantization noise: power of the weights by power of what was"
                " changed.")),
    # the file
    Term(marked(".nnz"),
         marked("The compressed file of the lab, header, tables and biases included; its length is"
                " the size that is shown."), (marked("file size"),)),
    Term(marked("compression ratio"),
         marked("Bytes of the dense network's fp32 file by bytes of this file.")),
    Term(marked("bits per weight"),
         marked("Bits in the file by weights of the dense network, zeros among them.")),
    Term(marked("entropy"),
         marked("Bits that a symbol needs at least on average, from how often each occurs.")),
    Term(marked("order-0"),
         marked("Entropy of each symbol alone; the coder of the file learns where zeros are, and"
                " can need less.")),
    Term(marked("Huffman code"),
         marked("Short codes for what is frequent, drawn as a tree; whole bits each.")),
    Term(marked("deflated size"),
         marked("The network as its framework saves it, deflated as in a zip file.")),
    # what it computes
    Term(marked("MACs"),
         marked("Multiply-adds for one image; without those by zero where not called dense: zeros"
                " make the file smaller, not the network faster."), (marked("multiply-adds"),)),
    Term(marked("latency"),
         marked("Time for one batch: the median of many runs, threads and engine stated.")),
    Term(marked("quartiles"),
         marked("A quarter of the times was below the first, a quarter above the last.")),
    # how right it is
    Term(marked("accuracy"),
         marked("Share of the images of a split that the network answers right.")),
    Term(marked("points lost"),
         marked("Accuracy against the dense network's in percentage points, on the same"
                " images.")),
    Term(marked("validation split"),
         marked("Images that were not trained on and by which settings are chosen; the test split"
                " is for reporting, for who chooses on it fools himself.")),
    Term(marked("test split"),
         marked("Images that nothing was trained on or chosen by, for the last word.")),
    Term(marked("estimate"),
         marked("A figure from some of the images, marked by ≈ and an open dot, replaced in a"
                " moment.")),
    Term(marked("confidence interval"),
         marked("Where the accuracy on endless such images lies, with 95 % certainty, by Wilson's"
                " formula."), (marked("Wilson interval"),)),
    Term(marked("McNemar's test"),
         marked("Whether two networks differ by more than chance, from the images that only one of"
                " them gets right.")),
    Term(marked("within noise"),
         marked("Chance alone explains a difference as large as this one.")),
    Term(marked("cross-entropy"),
         marked("What training makes small: minus the logarithm of the share that the true label"
                " gets, mean over images."), (marked("loss"),)),
    Term(marked("ECE"),
         marked("Expected calibration error: how far certainty and accuracy are apart on"
                " average."), (marked("calibration error"),)),
    Term(marked("KL"),
         marked("How far the answers of two networks are apart, in nats, mean over images; 0 where"
                " both say the same.")),
    Term(marked("flips"),
         marked("Images that only the one, or only the other of two networks has right.")),
    Term(marked("truth"),
         marked("Share that the true label gets in the network's answer, mean over images.")),
    Term(marked("occlusion"),
         marked("A square of the image is covered: where the answer suffers, the network"
                " looked.")),
    # training
    Term(marked("fine-tuning"),
         marked("Training on after compressing, with the zeros and levels kept.")),
    Term(marked("straight-through"),
         marked("Training that computes with rounded weights and lets the gradient pass the"
                " rounding unchanged.")),
    Term(marked("epochs"), marked("Times that training sees every image of the training split.")),
    Term(marked("distillation"), marked("Training a small network to answer as a large one does.")),
    Term(marked("teacher"), marked("The large network whose answers a student learns from.")),
    Term(marked("student"),
         marked("The small network that is trained to answer as its teacher does.")),
    Term(marked("student size"),
         marked("Share of the hidden units, or channels, of each layer that the student"
                " keeps."), (marked("width"),)),
    Term(marked("student depth"),
         marked("Share of the blocks that each stage of the student keeps."), (marked("depth"),)),
    Term(marked("initial weights"),
         marked("Where a student begins: with the teacher's first K columns, its K largest units,"
                " or chance.")),
    Term(marked("temperature"),
         marked("Softens the teacher's answers: above 1, they tell how alike the classes look.")),
    Term(marked("alpha"),
         marked("Share of the teacher's answers in the loss; the rest are the true labels. 0:"
                " without teacher.")),
    Term(marked("hint"),
         marked("What else of the teacher a student follows: which images look alike to it, or"
                " where it looks.")),
    Term(marked("learning rate"), marked("How far training moves the weights at each batch.")),
    Term(marked("batch"), marked("How many images training looks at before it moves the weights.")),
    # choosing
    Term(marked("recipe"),
         marked("Data, network, seed and steps, in order: all that a run follows from.")),
    Term(marked("digest"), marked("Short fingerprint of a recipe: same recipe, same digest.")),
    Term(marked("seed"),
         marked("Number from which all chance of a run follows: same seed, same numbers.")),
    Term(marked("baseline"),
         marked("The dense network as it was trained, which all else is compared with.")),
    Term(marked("dominated"),
         marked("Beaten: another run is as good in both axes and better in at least one.")),
    Term(marked("Pareto front"),
         marked("The runs that are not dominated by any other."), (marked("front"),)),
    Term(marked("hypervolume"),
         marked("Area that a front covers from a reference point on: the larger, the more it"
                " reaches.")),
)  # fmt: skip


# what English labels say where they mean a term: no names of it
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
    """Every term by its names in every language."""
    found: dict[str, Term] = {}
    for language in LANGUAGES:
        with speaking(language):
            for t in TERMS:
                found = {_plain(tr(name)): t for name in t.names} | found
    return found | {label: found[_plain(word)] for label, word in LABELS.items()}


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Every name, the longest first; those of one letter as they are written, in capitals. Only
    Latin letters have to stand apart.
    """
    names = sorted(_by_name(), key=len, reverse=True)
    parts = [re.escape(n) if len(n) == 1 else f"(?i:{re.escape(n)})" for n in names]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])", re.ASCII)


def _plain(name: str) -> str:
    return name if len(name) == 1 else name.lower()


def term(word: str) -> Term:
    """The term of this name. Raises KeyError, for a name in code is never a guess."""
    return _by_name()[_plain(word)]


def named_in(text: str) -> tuple[Term, ...]:
    """The terms that a label names, in their order; a longer name goes before one within it. A
    label in another language is taken for the English one where that is known.
    """
    found = (_pattern().finditer(label) for label in (original(text) or text, text))
    matches = next(filter(None, map(list, found)), [])
    return tuple(dict.fromkeys(term(match.group()) for match in matches))


def about(label: str, more: str = "") -> str:
    """What the terms of a label mean, as Markdown; more: what is true of this place alone, behind
    it. A label that names no term has no more to say than that.
    """
    terms = named_in(label)
    if len(terms) < 2:
        meaning = "".join(t.text for t in terms)
        both = meaning and more
        return tr("{meaning} {more}", meaning=meaning, more=more) if both else meaning or more
    said = (tr("**{word}**: {meaning}", word=t.title, meaning=t.text) for t in terms)
    return "  \n".join(filter(None, (*said, more)))


def search(words: str) -> list[Term]:
    """The terms in whose name or sentence all these words occur, by name; all for none."""
    wanted = words.lower().split()

    def fits(t: Term) -> bool:
        said = " ".join((*t.names, t.title, *t.others, t.text)).lower()
        return all(word in said for word in wanted)

    def place(t: Term) -> bytes:
        return t.title.lstrip(".").lower().encode("gb18030")  # where Chinese goes by its sound

    return sorted(filter(fits, TERMS), key=place)
