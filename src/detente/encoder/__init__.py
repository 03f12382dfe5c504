"""The Transformer encoder with its masked-LM head, in two variants behind one interface."""

from detente.encoder.encoder import Encoder, HiddenStates

__all__ = ["Encoder", "HiddenStates"]
