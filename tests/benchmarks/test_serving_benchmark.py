"""`benchmarks.serving`: its requests hold the ticket's words, and its table the numbers."""

import json

import pytest

from benchmarks.predict_peers import make_random
from benchmarks.serving import QUESTIONS, SERVICES, Load, Speed, make_bodies, parse, table
from lt_lightning.errors import SettingError


def test_requests_hold_as_many_texts_as_asked_for_of_words_that_the_ticket_knows() -> None:
    packed = make_random("cnn", 60, 0.5)
    bodies = [json.loads(body)["texts"] for body in make_bodies(packed, 3)]
    assert [len(texts) for texts in bodies] == [3] * QUESTIONS
    words = {word for texts in bodies for text in texts for word in text.split()}
    assert len(words & {*packed.words}) > 20 and words <= {*packed.words, "unknown"}


def test_the_table_has_a_row_per_load_and_a_column_per_service() -> None:
    medians = {
        (service, load): Speed(1000 * load.texts, 0.002, 0.0045)
        for load in (Load(1, 1), Load(8, 4))
        for service in SERVICES
    }
    lines = table(medians).splitlines()
    assert lines[0].count("OMP_NUM_THREADS=2") == 2
    assert lines[2:] == [f"| 1 | 1 |{' 1,000 (2.0, 4.5) |' * 4}", f"| 8 | 4 |{' 8,000 (2.0, 4.5) |' * 4}"]


def test_loads_without_a_client_are_refused() -> None:
    with pytest.raises(SettingError, match="--clients: each must be at least 1"):
        parse(["--clients", "0"])
