"""A real Kubernetes cluster on one Debian machine, in one network namespace of its own.

Run from the checkout's root as ``python3 -m tools.localcluster VERB``; ``--help`` lists the verbs.
Only the standard library is used: this runs before any virtual environment exists.
"""
