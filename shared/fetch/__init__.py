"""Fetches pictures from addresses that shops name: public ones only, bounded in every way."""
