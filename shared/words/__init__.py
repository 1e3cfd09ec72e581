"""Words: how the texts of products and queries become terms, sparse vectors and codes. Pure.

- `analyser`: `Analyser`, what the index holds of a product's words, and how a query asks for them
- `tokens`: texts as words; `markup`: texts without HTML; `languages`: words as stems
- `codes`: ids, SKUs, GTINs and part numbers, however they are typed
- `vocabulary`: the words that a tenant's catalogue knows, and the nearest of them to a typo
- `sparse`: terms as the dimensions of a vector
"""
