"""The only door to the Kubernetes API server: kinds, errors typed by reaction, one Protocol."""
