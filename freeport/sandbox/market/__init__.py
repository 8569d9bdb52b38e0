"""A marketplace for demo and tests: `python -m freeport.sandbox.market`, several channels by path, `/channels/{name}/…`.

It sells by its own last known stock, as marketplaces do: that is how units are sold twice. It misbehaves on request:
`PUT /channels/{name}/behaviour` (docs/channels.md).
"""
