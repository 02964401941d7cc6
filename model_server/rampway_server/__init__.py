"""Rampway's model server: scikit-learn models over the Open Inference Protocol V2."""

__version__ = "0.1.0"
