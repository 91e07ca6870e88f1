"""What the subject says: twelve fixed lines, or sentences without end from a small grammar over our own word lists."""
from __future__ import annotations

import numpy as np

LINES = (
    "Good morning. My name is Eve, and I will read a few short lines for you today.",
    "The weather over the harbour was bright, but a cold breeze pushed the small boats about.",
    "Please bring five brown boxes from the van before the market opens.",
    "She showed us how to fold the paper, and then we put the yellow bird on the shelf.",
    "Why would anyone measure the moon with a wooden ruler?",
    "Bob popped the bubble and Maya laughed out loud.",
    "Very few people have ever viewed the whole valley from above.",
    "Two blue shoes were moved through the new room.",
    "He thinks that those three brothers bathe in the northern sea.",
    "I should choose a joke, just to make the judge chuckle.",
    "Most machines need power, patience, and a bit of oil.",
    "Alright, that is all for now. Thank you for watching, and see you soon.",
)

_DETERMINERS = "the a my his her our their this that some".split()
_ADJECTIVES = """brave blue bitter calm chilly clever cloudy cosy damp dark deep early empty faint fair famous fresh frozen gentle
giant golden grey happy heavy hollow huge humble jolly large lazy little lively loyal lucky mellow mighty modern
narrow noisy odd olive pale patient plain polite proud purple quick quiet rapid rare rough rusty sharp shiny shy
silver simple sleepy smooth soft solid sour square stormy sturdy sunny sweet tall thick thin tidy tiny tough usual
vague velvet warm weary wide wild wise wooden yellow young""".split()
_NOUNS = """apple arrow author badge baker basket beach bird boat bottle boy bread bridge brother bubble bush butter cabin candle
captain castle cave chair cheese child church circle cloud coffee coin cousin cow cradle crow dancer daughter desk
doctor dog door dream drum eagle engine farmer father feather field finger fish flag flower forest fountain fox friend
garden ghost girl glove goat grape guest hammer harbour hat hill horse house island jacket jewel judge juice jungle
kettle key king kitchen ladder lake lamp lawyer leaf lemon letter lion lizard maple market measure melon mirror mother
mountain mouse nephew ocean onion orange oven owl painter palace paper path peach pebble piano pigeon pilot pirate
pocket poem pool potato pumpkin puzzle queen rabbit river road robin rope saddle sailor sea shadow sheep ship shoe
shop sister snow song spoon station storm story street teacher thief thumb tiger tower toy tree valley village violin
voice wagon water whale wheel window wizard wolf yard zebra""".split()
_VERBS = """asked avoided believed borrowed bought brought called carried caught changed chased chose cleaned copied covered drew
followed found fixed gave guarded heard held helped hid joined judged kept kicked laughed_at left liked loved made
measured met moved noticed offered opened painted passed picked polished pulled pushed reached remembered saved served
showed shook stole taught thanked threw touched trusted used viewed visited warned washed watched whispered_to
wrote_about""".split()
_PREPOSITIONS = """above after around before behind below beside beyond by for from in near over past through toward under
with without""".split()
_OPENINGS = ("I think that", "Perhaps", "Every morning,", "Yes,", "No,", "In the evening", "Somehow", "Once again",
             "You know that", "We heard that", "Why do they say that", "By five o'clock", "Oh, and", "Usually",
             "They hope that", "For a while")
_CONJUNCTIONS = ("and", "but", "so", "while", "because")


def sentence(rng: np.random.Generator) -> str:
    """One grammatical, meaningless sentence with a wide mix of phonemes."""
    def pick(words):
        return words[int(rng.integers(len(words)))]

    def verb() -> str:
        return pick(_VERBS).replace("_", " ")

    def noun_phrase() -> str:
        determiner = pick(_DETERMINERS)
        adjective = pick(_ADJECTIVES) + " " if rng.random() < 0.6 else ""
        return f"{determiner} {adjective}{pick(_NOUNS)}"

    line = f"{noun_phrase()} {verb()} {noun_phrase()}"
    if rng.random() < 0.55:
        line += f" {pick(_PREPOSITIONS)} {noun_phrase()}"
    if rng.random() < 0.30:
        line += f", {pick(_CONJUNCTIONS)} {noun_phrase()} {verb()} {noun_phrase()}"
    if rng.random() < 0.35:
        line = f"{pick(_OPENINGS)} {line}"
    return line[0].upper() + line[1:] + pick("...!?")
