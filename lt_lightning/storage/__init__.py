"""Write and read files: atomic writes, checksummed tensor files, caches, locks. What a file means belongs elsewhere."""
