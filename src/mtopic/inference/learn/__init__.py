"""What is learned before a fit, from counts hidden from short fits: weights of modalities, strength of neighbours."""
