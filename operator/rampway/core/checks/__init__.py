"""What is known of a candidate: counts between looks, comparisons, and what the checks answer."""
