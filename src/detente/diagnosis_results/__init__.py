"""What the diagnoses find (method 7), as values that can be written, read and drawn without torch."""
