"""The inference core: arrays in, arrays out."""
