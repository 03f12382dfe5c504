"""The model card: what the model is and was trained on, how to load it, and what it cannot do."""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from detente.corpus.manifest import CorpusManifest
from detente.pretrain.opened_run import OpenedModel
from detente.results import RunRecord

LOAD = """from transformers import AutoModelForMaskedLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("{folder}")
model = AutoModelForMaskedLM.from_pretrained("{folder}")
"""


@dataclass(frozen=True)
class Card:
    """What a card is written from.

    Attributes:
        record: of the finished run; None where the model is of an earlier step.
        corpora: label -> its text, where that is known.
        weights: digest of the weights' file.
        is_stock: in transformers' own XLM format.
    """

    opened: OpenedModel
    record: RunRecord | None
    corpora: Mapping[str, CorpusManifest]
    weights: str
    is_stock: bool

    def text(self, folder: str) -> str:
        """The whole of README.md.

        Args:
            folder: the name that the model is loaded by in the example.
        """
        return f"---\n{self._front_matter()}---\n\n{self._what()}\n{self._training()}\n{self._loading(folder)}\n{self._limits()}"

    def _front_matter(self) -> str:
        settings = self.opened.settings
        values = {
            "language": sorted({self._code(label) for label in settings.mixture}),
            "license": "unknown",
            "library_name": "transformers" if self.is_stock else "detente",
            "pipeline_tag": "fill-mask",
            "tags": ["detente", "masked-lm"],
            "detente": {"run": settings.name, "step": self.opened.step, "weights": self.weights},
        }
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)

    def _what(self) -> str:
        settings, encoder = self.opened.settings, self.opened.settings.encoder
        shared, specific = self.opened.treated.count()
        own = f", and {specific:,} of each language" if specific else ""
        languages = ", ".join(self._named(label) for label in settings.mixture)
        return (
            f"# {settings.name}\n\n"
            f"A masked language model of {languages}, pretrained by detente under the treatment `{settings.treatment}`.\n\n"
            f"- encoder: `{encoder.variant}`, {encoder.layers} layers of width {encoder.width}, {encoder.heads} heads\n"
            f"- parameters: {shared:,} shared{own}\n"
            f"- vocabulary: {self.opened.vocabulary.size:,} entries\n"
            f"- longest input: {settings.batches.block_length} tokens\n"
            "- licence: not stated; whoever publishes the model names it above, with the text in mind\n"
        )

    def _training(self) -> str:
        settings, step = self.opened.settings, self.opened.step
        total = settings.training.steps
        lines = [
            f"## Training\n\n{step:,} of {total:,} steps, {settings.tokens(step):,} tokens, seed {settings.seed}.\n"
        ]
        if step < total:
            lines.append("**The run is not finished.** This is its newest checkpoint.\n")
        if self.record is None:
            return "\n".join([*lines, "There are no test scores of this model.\n"])
        lines += ["| language | test bits per character | characters of training text |", "| --- | ---: | ---: |"]
        for label in settings.mixture:
            bits = self.record.languages[label].test.bits_per_character
            corpus = self.corpora.get(label)
            read = f"{corpus.splits['train'].characters:,}" if corpus else ""
            lines.append(f"| {self._named(label)} | {bits:.3f} | {read} |")
        return "\n".join([*lines, ""])

    def _loading(self, folder: str) -> str:
        # Unused there, but transformers learns of the model by it.
        first = "" if self.is_stock else "import detente\n"
        return f"## Use\n\n```python\n{first}{LOAD.format(folder=folder)}```\n\n{self._language_rule()}\n"

    def _language_rule(self) -> str:
        settings = self.opened.settings
        numbers = ", ".join(f"{index} {label}" for index, label in enumerate(settings.mixture))
        if len(settings.mixture) == 1 or not (self._owns or settings.encoder.language_embedding):
            return "The model need not be told the language."
        if self.is_stock:
            return (
                f"Tell it the language of every token: `langs`, of the shape of `input_ids` ({numbers}). Without `langs` it "
                "computes something else than it was trained for, and says nothing."
            )
        return (
            f"Tell it the language of every row, `language_ids=torch.tensor([...])` ({numbers}), or of all, "
            f'`model.set_default_language("{settings.mixture[0]}")`.'
        )

    @property
    def _owns(self) -> bool:
        """Whether languages have parameters of their own."""
        return self.opened.treated.count()[1] > 0

    def _limits(self) -> str:
        return (
            "## Limits\n\n"
            f"- It takes at most {self.opened.settings.batches.block_length} tokens and knows no language but the above.\n"
            "- A text stands between end tokens, `</s> A </s>` and `</s> A </s> B </s>`, as records do in its training text; "
            "the tokenizer does so. It was trained on full blocks of running text, so a short text is unusual to it.\n"
            "- It fills in masked tokens and can be fine-tuned; it does not write text. What is wrong or unjust in its training "
            "text is in the model.\n"
        ).replace("</s>", self.opened.vocabulary.special["end"])

    def _named(self, label: str) -> str:
        corpus = self.corpora.get(label)
        return f"{corpus.name} (`{label}`)" if corpus and corpus.name != label else f"`{label}`"

    def _code(self, label: str) -> str:
        corpus = self.corpora.get(label)
        return corpus.code if corpus else label
