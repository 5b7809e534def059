"""What a trained model is worth on photographs that it never saw."""
