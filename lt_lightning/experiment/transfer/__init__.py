"""Start a run from another run's ticket, perhaps on another corpus.

`fitting` checks that ticket and run fit before torch is loaded; `starting` computes the mask and the weights.
"""
