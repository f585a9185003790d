"""Write an encoder's ticket as a folder that transformers loads.

- `stock`: the ticket as a network of transformers' own class;
- `averaging`: the layer that averages the states, as no such class does;
- `folder`: the files of the folder, its card, and a check of what it answers.
"""
