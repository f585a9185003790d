"""Read corpora: from files, the Hugging Face Hub, installed libraries, and pairs of strings.

A source returns rows; `data.corpus` checks them.
"""
