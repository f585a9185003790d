"""Start a run from a ticket that another run found, perhaps on another corpus.

- `fitting`: whether ticket and run fit each other, before torch is loaded;
- `matching`: which entries carry over;
- `first_weights`: the weights that the ticket's own run began with;
- `starting`: the mask and the weights that the run starts from, and a record of both.

The arithmetic of a lottery that begins with a mask is in `lottery`, the file format in `tickets`.
"""
