"""The demo: real models on handwritten digits, rolled out and rolled back on a cluster."""
