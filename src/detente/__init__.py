"""Measure and treat negative interference between languages in multilingual language models."""
