"""The configuration of an exported model: all that is needed to build encoder and treatment again."""

from typing import Any

from transformers import PretrainedConfig

from detente.errors import ConfigError, did_you_mean
from detente.settings import AdapterSettings, EncoderSettings


class DetenteConfig(PretrainedConfig):
    """Read from `config.json` in a folder that `detente export` wrote.

    Args:
        encoder_settings: of `EncoderSettings`; those left out have its defaults.
        adapter_settings: of `AdapterSettings`, likewise.
        treatment: how capacity is split between the languages.
        languages: in the order of the language embedding's rows; `language_ids` count from here.
        default_language: taken for rows whose language is not given; without one that is an error.
        vocab_size: entries of the vocabulary.
        block_length: the longest input, in tokens.
        classifier_dropout: before the head of a task; the encoder's dropout when None.
        kwargs: of every Hugging Face model, such as `num_labels`, `id2label` and `pad_token_id`.
    """

    model_type = "detente"
    attribute_map = {"max_position_embeddings": "block_length"}  # noqa: RUF012 - the base class's way

    def __init__(
        self,
        *,
        encoder_settings: dict[str, Any] | None = None,
        adapter_settings: dict[str, Any] | None = None,
        treatment: str = "none",
        languages: tuple[str, ...] | list[str] = ("en",),
        default_language: str | None = None,
        vocab_size: int = 8000,
        block_length: int = 128,
        classifier_dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        self.encoder_settings = EncoderSettings.model_validate(encoder_settings or {}).model_dump(mode="json")
        self.adapter_settings = AdapterSettings.model_validate(adapter_settings or {}).model_dump(mode="json")
        self.treatment = treatment
        self.languages = list(languages)
        self.vocab_size = vocab_size
        self.block_length = block_length
        self.classifier_dropout = classifier_dropout
        self.default_language = default_language
        if default_language is not None:
            self.language_id(default_language)
        super().__init__(**kwargs)

    @property
    def encoder(self) -> EncoderSettings:
        """The encoder's shape."""
        return EncoderSettings.model_validate(self.encoder_settings)

    @property
    def adapter(self) -> AdapterSettings:
        """The adapters' shape, where the treatment has some."""
        return AdapterSettings.model_validate(self.adapter_settings)

    @property
    def hidden_size(self) -> int:
        """The encoder's width, under the name that other libraries ask for."""
        return self.encoder.width

    @property
    def num_hidden_layers(self) -> int:
        """Blocks of the encoder."""
        return self.encoder.layers

    @property
    def num_attention_heads(self) -> int:
        """Heads of each block."""
        return self.encoder.heads

    @property
    def needs_language(self) -> bool:
        """Whether rows must come with their language, which then owns parameters or a row of the language embedding."""
        import torch

        from detente.encoder import Encoder
        from detente.treatment import TREATMENTS

        with torch.device("meta"):
            encoder = Encoder(self.encoder, 1, block_length=1)
        return self.encoder.language_embedding or any(True for _ in TREATMENTS[self.treatment].owned_modules(encoder))

    def language_id(self, language: str) -> int:
        """What stands for `language` in `language_ids`.

        Raises:
            ConfigError: the model has no such language.
        """
        if language not in self.languages:
            raise ConfigError(
                f"the model has no language `{language}`, it has {', '.join(self.languages)}.{did_you_mean(language, self.languages)}"
            )
        return self.languages.index(language)


def register() -> None:
    """Make `AutoConfig` know the configuration."""
    # Not above: whoever imports `AutoConfig` is about to import this module.
    from transformers import AutoConfig

    AutoConfig.register(DetenteConfig.model_type, DetenteConfig, exist_ok=True)
