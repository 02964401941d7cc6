"""The pure core: an observation goes in, a decision comes out; no clock, no I/O."""
