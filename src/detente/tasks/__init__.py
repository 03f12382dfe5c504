"""Downstream tasks: named entities, parts of speech, question answering and inference, within-language and zero-shot (method 8)."""
