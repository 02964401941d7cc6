"""Where evidence comes from: metric sources behind one Protocol."""
