"""What the tests of branches share: the settings of their trunk."""

TRUNK = ("pruning.rounds=2", "pruning.amount=0.4", "trainer.max_epochs=2", "seed=3")
