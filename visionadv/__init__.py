"""Attacks on image classifiers: by their gradients, their scores, or their decisions alone."""
