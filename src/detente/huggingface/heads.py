"""Models with a head: tokens under a mask, a label for each token, a label for each text, the span of an answer.

All are called as `DetenteModel` is, and give `hidden_states` as it does.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.modeling_outputs import (
    MaskedLMOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)

from detente.huggingface.config import DetenteConfig
from detente.huggingface.model import DetenteModel, DetentePreTrainedModel, Output


class DetenteForMaskedLM(DetentePreTrainedModel):
    """The head of pretraining: the token embedding itself, and a bias.

    Embedding and output are one parameter, so nothing has to be tied when a file is read.
    """

    def __init__(self, config: DetenteConfig) -> None:
        super().__init__(config)
        self.detente = DetenteModel(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """`logits`: "B T V". The loss is over tokens whose label is not -100."""
        body = self._encoded(input_ids, attention_mask, language_ids, output_attentions, output_hidden_states)
        encoder = self.detente.encoder
        logits = F.linear(body.last_hidden_state, encoder.token_embedding.weight, encoder.output_bias)
        loss = None if labels is None else _cross_entropy(logits, labels)
        return self._packed(MaskedLMOutput(loss=loss, logits=logits, hidden_states=body.hidden_states), return_dict)


class _Classifier(DetentePreTrainedModel):
    """Dropout and a linear map to `config.num_labels` values."""

    def __init__(self, config: DetenteConfig) -> None:
        super().__init__(config)
        self.detente = DetenteModel(config)
        rate = config.encoder.dropout if config.classifier_dropout is None else config.classifier_dropout
        self.dropout = nn.Dropout(rate)
        assert config.num_labels is not None, "two where nobody asks for more"
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()  # type: ignore[no-untyped-call]


class DetenteForTokenClassification(_Classifier):
    """A label for each token: entities, parts of speech."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """`logits`: "B T num_labels". The loss is over tokens whose label is not -100."""
        body = self._encoded(input_ids, attention_mask, language_ids, output_attentions, output_hidden_states)
        logits = self.classifier(self.dropout(body.last_hidden_state))
        loss = None if labels is None else _cross_entropy(logits, labels)
        output = TokenClassifierOutput(loss=loss, logits=logits, hidden_states=body.hidden_states)
        return self._packed(output, return_dict)


class DetenteForSequenceClassification(_Classifier):
    """A label for each text or pair of texts, read off the first position."""

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """`logits`: "B num_labels". `config.problem_type` decides the loss: cross-entropy for whole numbers, as usual."""
        body = self._encoded(input_ids, attention_mask, language_ids, output_attentions, output_hidden_states)
        logits = self.classifier(self.dropout(body.last_hidden_state[:, 0]))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        output = SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=body.hidden_states)
        return self._packed(output, return_dict)


class DetenteForQuestionAnswering(DetentePreTrainedModel):
    """The first and the last token of the answer."""

    def __init__(self, config: DetenteConfig) -> None:
        super().__init__(config)
        self.detente = DetenteModel(config)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        language_ids: Tensor | None = None,
        *,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """`start_logits` and `end_logits`: "B T". A position beyond the row is left out of the loss."""
        body = self._encoded(input_ids, attention_mask, language_ids, output_attentions, output_hidden_states)
        start, end = self.qa_outputs(body.last_hidden_state).unbind(-1)
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = self.loss_function(start, end, start_positions, end_positions)
        output = QuestionAnsweringModelOutput(
            loss=loss, start_logits=start, end_logits=end, hidden_states=body.hidden_states
        )
        return self._packed(output, return_dict)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over the tokens whose label is not -100, in float32 at least."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


def register() -> None:
    """Make the Auto classes know the models."""
    # Not above: whoever imports the Auto classes is about to import this module.
    from transformers import (
        AutoModel,
        AutoModelForMaskedLM,
        AutoModelForQuestionAnswering,
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
    )

    for auto, model in (
        (AutoModel, DetenteModel),
        (AutoModelForMaskedLM, DetenteForMaskedLM),
        (AutoModelForTokenClassification, DetenteForTokenClassification),
        (AutoModelForQuestionAnswering, DetenteForQuestionAnswering),
        (AutoModelForSequenceClassification, DetenteForSequenceClassification),
    ):
        auto.register(DetenteConfig, model, exist_ok=True)
