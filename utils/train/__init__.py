"""Training and export of both models. TensorFlow is imported here alone."""
