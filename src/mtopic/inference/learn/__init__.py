"""What is learned from counts that are hidden from short fits, before the fit itself: weights of modalities and strength of neighbours."""
