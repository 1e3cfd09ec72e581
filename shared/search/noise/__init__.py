"""How near a picture has to be to a query, so that it is no chance."""
