"""How requests are split: shares, routes, and who else writes or claims them."""
