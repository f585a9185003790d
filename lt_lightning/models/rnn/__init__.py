"""Recurrent networks: cells from their equations, the loop over positions, classifier, tagger, encoder-decoder."""
