"""The course of a rollout: its phases, steps, dangers, hooks, and the watch after it."""
