"""One ModelDeployment: its revisions, policy, past, and how it stands."""
