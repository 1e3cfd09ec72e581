"""How good a search's answers are, held against people's ratings."""
