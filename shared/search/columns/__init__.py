"""A tenant's products as columns, for all that Qdrant can't count or sort by.

`rows` reads a product's row from its payload, `values` holds a field's distinct values, `columns`
is the snapshot that readers get, `mending` makes the next snapshot from the last one, and `table`
keeps the newest one of each tenant.
"""
