"""Wrong pairs of strings, and strings that cannot be drawn."""

from observing import Case, Kind, train


def _case(wrong: str, experiment: str, setting: str, *names: str) -> Case:
    return Case(f"{wrong}: `{setting}`", lambda folder: [f"+experiment={experiment}", setting], names, train)


CASES = (
    _case("no pair", "hihello", "data.pairs=[]", "data.pairs", "[["),
    _case("a string that is no pair", "hihello", "data.pairs=[hihell,ihello]", "data.pairs", "hihell"),
    _case("half a pair", "hihello", "data.pairs=[[hihell]]", "data.pairs", "hihell", "[given, expected]"),
    _case("numbers for strings", "hihello", "data.pairs=[[123,321]]", "data.pairs", "123", "quote"),
    _case("an empty string", "hihello", "data.pairs=[['','']]", "data.pairs", "empty"),
    _case("strings of two lengths", "hihello", "data.pairs=[[hihell,ihell]]", "data.pairs", "6", "5"),
    _case("a letter that is not in the alphabet", "hihello", "data.pairs=[[hallo,alloh]]", "data.pairs", "'a'"),
    _case("a letter that is there twice", "hihello", "data.alphabet=hhielo", "data.alphabet", "'h'", "once"),
    _case("an alphabet of one letter", "seq2seq", "data.alphabet=a", "data.alphabet", "'a'", "two or more"),
    _case("the longest before the shortest", "seq2seq", "data.lengths=[5,4]", "data.lengths", "[5, 4]"),
    _case("more strings than there are", "seq2seq", "data.lengths=[1,2]", "data.train_rows", "data.lengths"),
    _case("a state for no letter", "hihello", "model.hidden=7", "model.hidden", "7", "5"),
    _case("words for letters", "hihello", "data.tokenizer=words", "data.tokenizer", "letters"),
    _case("texts for pairs", "hihello", "model=cnn", "model", "model=tagger"),
)

KIND = Kind(
    5,
    "Pairs of strings",
    "Given to `python -m lt_lightning.train +experiment=hihello`, or `+experiment=seq2seq`.",
    CASES,
)
