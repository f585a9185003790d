"""Turn text into batches: corpus → splits → vocabulary → ids → batches → LightningDataModule.

- `sources/`: read corpora; `corpus`, `labels`, `rows`: check texts and labels;
- `labelled`: texts with a ticket's classes, to evaluate it on; `alphabet`: letters of strings;
- `splits`: choose training, validation and test rows;
- `tokenizer`: texts to words; `numbering`: words to numbers; `vocabulary`: known words; `encoding`: one flat tensor;
- `batches`: buckets of similar lengths, shuffled by (seed, round, epoch); `loaders`: DataLoaders;
- `vector_files`, `glove`: pre-trained vectors for the vocabulary;
- `module`, `pair_module`: the DataModules for texts and for pairs of strings.
"""
