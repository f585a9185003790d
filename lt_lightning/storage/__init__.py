"""Files in general: whether one may be read at all. Their content and its format belong to the folders that use it."""
