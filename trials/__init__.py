"""Long trials: kills at chosen moments, damaged files, and planted faults that the tests must find.

The tests run the first two briefly. Each trial is a command: `python -m trials.kills`, `python -m trials.fuzz` and
`python -m trials.planted`. `python -m trials.gpu` checks what only a CUDA device can show, and
`python -m trials.padding` measures what padding changes in the notebook's masks.
"""
