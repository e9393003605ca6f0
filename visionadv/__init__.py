"""Attacks on image classifiers and robust training. Nothing is here yet."""
