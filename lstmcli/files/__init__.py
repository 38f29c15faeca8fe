"""Files written wholly or not at all, and locks."""
