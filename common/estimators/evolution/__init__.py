"""Evolution strategies: directions from evaluations alone, on logits or on weights."""
