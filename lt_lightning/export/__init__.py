"""Pack a run's ticket into one file: `python -m lt_lightning.export RUN [--round N] [-o FILE]`.

- `shrinking`: a smaller ticket with the same answers;
- `first_weights`: the weights that the run began with; `model_card`: the README beside the file;
- `files`: the paths of the files, and a check of each before it takes its place;
- `measuring`: the accuracy of rounded weights; `describing`: lines for the screen;
- `export`: all of it in order;
- `standalone`: files that run without an installation; `executable`: the one for Python;
- `encoders`: pack the ticket of a pre-trained encoder; `graph`: its ONNX graph; `encoder_export`: its other files;
- `huggingface/`: a folder that transformers loads.

`runs.packing` makes the content of the file, and `tickets.file` has its format.
"""
