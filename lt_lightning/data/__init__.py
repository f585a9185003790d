"""From text to batches, one way: corpus → splits → vocabulary → ids → batches, handed out by the DataModule.

- `corpus`: texts and labels, checked (`labels`, `rows`), from the Hub (`hub`), from files (`files`) or built in
  (`built_in`): the prose of `docstrings` (`pydocs`) and the names (`identifiers`) of four `libraries`, as they
  were `installed`;
- `delimiters`: what separates the columns of a .csv;
- `labelled`: texts with the classes of a ticket, to evaluate it on;
- `pairs`: strings that are given and strings that should come out, checked, or random (`reversal`), of the letters of
  an `alphabet`;
- `splits`: which training rows are kept, and which of them validate;
- `cutting`: how texts fall into words (`splitter` names the ways), and the tokenizer that knows some of them;
- `numbering`: texts cut into words, all of them numbered, in one pass;
- `vocabulary`: which of the words are known;
- `encoding`: texts as one flat tensor of ids;
- `kept`: the cache of arrays, whole and checked;
- `batches`: buckets of similar lengths, shuffled by (seed, round, epoch), and `loaders` that hand them out;
- `vector_files`: where pre-trained vectors lie;
- `glove`: pre-trained vectors for the vocabulary;
- `module`: all of it as a LightningDataModule, for texts; `pair_module`, for pairs.
"""
