"""Constructed languages: one world of meaning, spoken in as many ways as the settings allow.

inventory   concepts, names and grammatical words
world       what goes together: verbs and their participants, nouns and their adjectives, topics
meaning     events, told in short passages
lexicon     a word for everything; scripts spell it
surface     word order, adpositions, morphology
text        running text
tasks       labelled data: questions and inference draw theirs, the rest is read off the words
distance    how far two languages are apart
"""

from detente.corpus.constructed.demo import DEMO_LANGUAGES
from detente.corpus.constructed.distance import distance
from detente.corpus.constructed.tasks import write_tasks
from detente.corpus.constructed.text import generate_text

__all__ = ["DEMO_LANGUAGES", "distance", "generate_text", "write_tasks"]
