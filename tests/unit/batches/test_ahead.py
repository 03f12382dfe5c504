"""Batches made while the step before runs."""

import threading

import pytest
import torch

from detente.batches import MadeAhead, made_for


def test_the_next_is_made_while_the_one_asked_for_is_used() -> None:
    begun: dict[int, threading.Event] = {number: threading.Event() for number in range(5)}

    def make(number: int) -> int:
        begun[number].set()
        return number**2

    ahead = MadeAhead(make)
    assert ahead(2) == 4
    assert begun[3].wait(timeout=10), "begun without being asked for"
    assert [ahead(3), ahead(3), ahead(0)] == [9, 9, 0], "any order of numbers is right"


def test_an_error_comes_when_its_number_is_asked_for() -> None:
    def make(number: int) -> int:
        if number == 1:
            raise ValueError("no text")
        return number

    ahead = MadeAhead(make)
    assert ahead(0) == 0
    with pytest.raises(ValueError, match="no text"):
        ahead(1)


def test_a_cpu_makes_batches_when_they_are_asked_for() -> None:
    assert made_for(torch.device("cpu"), abs) is abs
    assert isinstance(made_for(torch.device("cuda"), abs), MadeAhead)
