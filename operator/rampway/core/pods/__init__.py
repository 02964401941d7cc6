"""How many pods each revision has: sizes, autoscalers, scarce machines, budgets."""
