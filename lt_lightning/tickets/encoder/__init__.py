"""Packed tickets of pre-trained encoders.

- `file`: read and write the file: living weights, the tokenizer, the configuration and a graph without weights;
- `reading`: texts to the ids of pieces;
- `network`: ids to logits, by onnxruntime, or by torch and transformers;
- `modeling_ticket`: the network in torch; only this file imports torch and transformers, and nothing of this project.
"""
