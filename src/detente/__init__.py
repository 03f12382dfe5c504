"""Measure and treat negative interference between languages in multilingual language models."""

from detente.huggingface.registration import install

install()
