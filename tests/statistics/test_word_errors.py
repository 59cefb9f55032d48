"""Pieces add up to the edit distance; tables by hand; quantiles."""

from hypothesis import given, settings
from hypothesis import strategies as st

from foresay.statistics.edit_distance import edit_distance
from foresay.statistics.word_errors import WordCount, confusion, frequent_errors, marked, pieces, spread, words_by_errors

WORDS = st.lists(st.sampled_from(["a", "b", "ab", "ba", "aab"]), max_size=7)


@settings(deadline=None, max_examples=150)
@given(WORDS, WORDS)
def test_pieces_hold_both_texts_and_their_errors_add_up(reference: list[str], hypothesis: list[str]) -> None:
    cut = pieces(reference, hypothesis)
    assert [word for piece in cut for word in piece.said] == reference
    assert [word for piece in cut for word in piece.written] == hypothesis
    assert sum(piece.errors for piece in cut) == edit_distance(reference, hypothesis)
    for piece in cut:
        assert piece.kind not in {"split", "join"} or "".join(piece.said) == "".join(piece.written)


def kinds(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    return [(piece.kind, piece.text) for piece in pieces(reference.split(), hypothesis.split()) if piece.errors]


def test_compounds_are_split_and_joined() -> None:
    said = kinds("tonight anyone can see it", "to night any one can sea it")
    assert said == [("split", "tonight -> to night"), ("split", "anyone -> any one"), ("substitution", "see -> sea")]
    assert kinds("some one is in the n a s a", "someone is in the nasa") == [("join", "some one -> someone"), ("join", "n a s a -> nasa")]
    assert kinds("he saw nobody there", "we saw no body") == [
        ("substitution", "he -> we"),
        ("substitution", "nobody -> no"),
        ("substitution", "there -> body"),
    ]  # a split and a deletion were one error more
    assert kinds("the nasa", "the n a s a") == [("split", "nasa -> n a s a")]
    assert kinds("a a b b c", "ab bc bc") == [
        ("deletion", "a"),
        ("join", "a b -> ab"),
        ("substitution", "b -> bc"),
        ("substitution", "c -> bc"),
    ]  # a join of b and c after that of a and b were one error more


def test_errors_before_between_and_after_compounds_are_aligned() -> None:
    said = kinds("x far anyone near y", "x fair any one y")
    assert said == [("substitution", "far -> fair"), ("substitution", "anyone -> any"), ("substitution", "near -> one")]
    said = kinds("x far anyone then somebody y", "x fair any one than some body more y")
    assert said == [
        ("substitution", "far -> fair"),
        ("split", "anyone -> any one"),
        ("substitution", "then -> than"),
        ("split", "somebody -> some body"),
        ("insertion", "more"),
    ]


def test_table_11_by_hand() -> None:
    """Two of `all -> al`, one each of three others, of which equal counts stand by alphabet."""
    spoken = ["the end anyone", "all are well", "it of all", "to day"]
    written = ["an end any one oh", "al ar well", "it al", "today"]
    cut = [pieces(one.split(), other.split()) for one, other in zip(spoken, written, strict=True)]
    found = frequent_errors(cut, 25)
    assert found["frequent_substitutions"] == [[2, "all -> al"], [1, "are -> ar"], [1, "the -> an"]]
    assert found["frequent_deletions"] == [[1, "of"]]
    assert found["frequent_insertions"] == [[1, "oh"]]
    assert found["frequent_splits"] == [[1, "anyone -> any one"]]
    assert found["frequent_joins"] == [[1, "to day -> today"]]
    assert frequent_errors(cut, 2)["frequent_substitutions"] == [[2, "all -> al"], [1, "are -> ar"]]
    words = words_by_errors(cut, {"all": 7, "of": 1})
    assert words[0] == WordCount("all", 2, 2, 7)
    assert [word.word for word in words] == ["all", "anyone", "are", "day", "of", "the", "to"]
    assert words[2] == WordCount("are", 1, 1, 0)
    assert words_by_errors(cut, None)[0] == WordCount("all", 2, 2, None)


def test_transcripts_have_their_errors_in_capitals() -> None:
    cut = pieces(["I", "HAPPEN", "TO", "HAVE", "IT", "TONIGHT"], ["I", "HAPPENED", "HAVE", "OR", "IT", "TO", "NIGHT"])
    assert " ".join(word for word, _ in marked(cut)) == "i * HAPPENED have OR it TO NIGHT"
    assert [wrong for _, wrong in marked(cut)] == [False, True, True, False, True, False, True, True]
    assert marked(pieces(["a", "b"], [])) == [("*", True), ("*", True)]
    assert marked([]) == []


def test_quantiles_are_the_middles_of_equal_parts() -> None:
    rates = [0.1 * number for number in range(100)]
    assert spread(rates, 4) == [12, 37, 62, 87]
    assert spread(rates[::-1], 4) == [87, 62, 37, 12]
    assert spread([1.0, 1.0, 1.0], 9) == [0, 1, 2]
    assert spread([], 3) == []


def test_confusions_count_matches_deletions_and_insertions() -> None:
    found = confusion([("aab", "acb"), ("b", ""), ("a", "ad")])
    assert found.said == ("a", "b")
    assert found.written == ("a", "b", "c", "d")
    assert found.counts.tolist() == [[2, 0, 1, 0, 0], [0, 1, 0, 0, 1], [0, 0, 0, 1, 0]]
    assert confusion([]).counts.tolist() == [[0]]


def test_many_compounds_in_one_stretch_are_found_in_time() -> None:
    cut = pieces(["anyone"] * 300, ["any", "one"] * 300)
    assert [piece.kind for piece in cut] == ["split"] * 300
