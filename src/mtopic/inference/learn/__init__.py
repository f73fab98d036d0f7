"""What is learned before a fit, from counts hidden from short fits: priors, weights, strength."""
