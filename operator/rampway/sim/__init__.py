"""The cluster in memory and its clock: tests, `simulate` and `plan` drive the real core with it."""
