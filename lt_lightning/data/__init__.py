"""From text to batches, one way: corpus → splits → vocabulary → ids → batches, handed out by the DataModule.

- `sources/`: where corpora come from; `corpus`: texts and labels, checked (`labels`, `rows`);
- `labelled`: texts with the classes of a ticket, to evaluate it on; `alphabet`: letters of strings;
- `splits`: which training rows are kept, and which of them validate;
- `tokenizer`: texts to words; `numbering`: words to numbers; `vocabulary`: known words; `encoding`: one flat tensor;
- `batches`: buckets of similar lengths, shuffled by (seed, round, epoch), and `loaders` that hand them out;
- `vector_files`, `glove`: pre-trained vectors for the vocabulary;
- `module`, `pair_module`: all of it as a LightningDataModule, for texts and for pairs.
"""
