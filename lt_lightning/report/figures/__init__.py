"""Figures, drawn with matplotlib's objects: no pyplot, nothing global is changed. No file is written here."""
