"""How capacity is split between shared (theta) and language-specific (phi) parameters (method 4).

A treatment says which modules of the encoder each language owns, and may fill the encoder's adapter slots first. The
encoder is built once; a forward pass of language i takes theta and phi_i as arguments (`treated.py`).
"""

from detente.treatment.adapter import Adapter, LanguageAdapters, SharedAdapters
from detente.treatment.submodules import OwnAttention, OwnFeedForward, Untreated
from detente.treatment.treated import TreatedEncoder, Treatment, remove_treatment, treat

TREATMENTS: dict[str, Treatment] = {
    "none": Untreated(),
    "ffn": OwnFeedForward(),
    "attention": OwnAttention(),
    "adapter": LanguageAdapters(),
    "shared-adapter": SharedAdapters(),
    # The same modules as `adapter`; what differs is how they are trained (detente.pretrain.meta).
    "meta-adapter": LanguageAdapters(),
}

__all__ = ["TREATMENTS", "Adapter", "TreatedEncoder", "Treatment", "remove_treatment", "treat"]
