"""Evolution strategies: directions from function evaluations only, on logits or on weights."""
