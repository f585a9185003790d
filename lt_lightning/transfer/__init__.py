"""Starting a run from a ticket that another run found, perhaps on another corpus.

Here lies what carries over (`matching`), whether ticket and run fit each other (`fitting`, before torch is loaded), the
weights that a ticket's own run began with (`keeping` as it is exported, `recipes` and `first_weights` as it is read),
and what comes of it all (`starting`). The arithmetic of a lottery that begins with a mask is `lottery`'s, the file
format that of `tickets`.
"""
