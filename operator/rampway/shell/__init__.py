"""The shell: it gathers, asks the core, executes; no decision is taken here."""
