"""Rampway: progressive delivery of machine-learning models on Kubernetes, on evidence."""

__version__ = "0.1.0"
