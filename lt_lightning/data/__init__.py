"""Turn text into batches: corpus → splits → vocabulary → ids → batches → LightningDataModule.

- `sources/`: read corpora; `corpus`, `labels`: check texts and labels;
- `labelled`: texts with a ticket's classes, to evaluate it on;
- `splits`: choose training, validation and test rows; `groups`: rows that stay in one part;
- `tokenizer`: texts to words; `encoding`: words to ids;
- `batches`: buckets of similar lengths, shuffled by (seed, round, epoch); `loaders`: DataLoaders;
- `glove`: pre-trained vectors for the vocabulary;
- `module`, `pair_module`: the DataModules for texts and for pairs of strings.
"""
