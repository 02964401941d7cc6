"""Deliberate breaks of the source: each promise that is kept has one that a test notices."""
