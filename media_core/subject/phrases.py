"""Sentences without end in five more languages: subject, verb, object, place; each part fits every other. Our own words."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class _Words:
    openings: tuple[str, ...]
    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    places: tuple[str, ...]
    joints: tuple[str, ...]


def _split(text: str) -> tuple[str, ...]:
    return tuple(" ".join(part.split()) for part in text.split("/"))


_GERMAN = _Words(
    openings=_split("Ich glaube,/ Vielleicht sagt man:/ Ja,/ Nein,/ Wir wissen:/ Hört zu:/ Am Ende heißt es:"),
    subjects=_split("""der Bäcker/ die Malerin/ mein Bruder/ unsere Mutter/ das kleine Mädchen/ ein brauner Hund/ der müde
        Pilot/ die berühmte Ärztin/ der junge Förster/ deine Freundin/ ein fröhlicher Musiker/ die Königin/
        Papa/ der böse Wolf"""),
    verbs=_split("""fand/ brachte/ kaufte/ zeigte/ öffnete/ bemalte/ verkaufte/ suchte/ bewegte/ beobachtete/ wusch/ holte/
        mochte/ verlor/ vergaß/ pflegte"""),
    objects=_split("""ein gelbes Boot/ die warme Milch/ den schönen Garten/ fünf blaue Blumen/ das alte Buch/ die grüne
        Brücke/ zwölf Äpfel/ einen Becher Wasser/ die weiße Taube/ das hölzerne Pferd/ den süßen Pfirsich/ viele
        bunte Vögel/ ein Stück Papier"""),
    places=_split("""am frühen Morgen/ über dem Hafen/ vor dem Museum/ hinter der Mühle/ im Februar/ auf dem Marktplatz/ bei
        Omas Haus/ neben dem Ofen/ unter der Brücke/ ohne jede Mühe/ zwischen zwei Bäumen"""),
    joints=_split("und/ aber/ denn/ doch"))
_FRENCH = _Words(
    openings=_split("Je pense que/ Peut-être que/ On dit que/ Bien sûr,/ Vous savez que/ Voilà,/ Ce matin,"),
    subjects=_split("""le boulanger/ ma petite soeur/ notre voisin/ la reine/ un jeune peintre/ le vieux pêcheur/ mon papa/ la
        fameuse chanteuse/ un homme heureux/ le chien brun/ ta meilleure amie/ le pilote fatigué/ une femme
        aimable/ le chat gourmand"""),
    verbs=_split("""prépare/ cherche/ montre/ ouvre/ vend/ regarde/ trouve/ porte/ oublie/ aime/ apporte/ lave/ choisit/
        emballe/ promène/ bouge"""),
    objects=_split("""un gâteau au beurre/ la maison bleue/ deux pommes vertes/ le bateau de papier/ une belle montagne/ huit
        boutons blancs/ du pain frais/ la lune jaune/ un oeuf et du jambon/ les fleurs du jardin/ un vieux
        livre/ la fenêtre/ plusieurs oiseaux"""),
    places=_split("""devant la porte/ sous le pont/ au bord du fleuve/ avant midi/ près du moulin/ dans la forêt profonde/
        avec beaucoup de patience/ pendant la fête/ sur la place du village/ au mois de février/ derrière le
        musée"""),
    joints=_split("et/ mais/ car/ pendant que"))
_SPANISH = _Words(
    openings=_split("Creo que/ Tal vez/ Dicen que/ Claro que/ Sabemos que/ Por la mañana/ Bueno,"),
    subjects=_split("""el panadero/ mi hermana/ nuestro vecino/ la abuela/ un pintor famoso/ el viejo pescador/ la niña
        pequeña/ el perro blanco/ una mujer amable/ mi buen amigo/ el piloto cansado/ la reina/ un músico feliz/
        el lobo feroz"""),
    verbs=_split("""compra/ busca/ muestra/ abre/ vende/ mira/ encuentra/ lleva/ olvida/ pinta/ trae/ lava/ mueve/ guarda/
        prueba/ empuja"""),
    objects=_split("""un barco amarillo/ la casa blanca/ dos manzanas verdes/ el libro rojo/ una montaña enorme/ cinco
        botones/ pan con queso/ la luna llena/ un huevo frito/ las flores del jardín/ el puente viejo/ muchos
        pájaros/ una bebida fría"""),
    places=_split("""delante de la puerta/ bajo el puente/ cerca del mar/ antes del almuerzo/ en el bosque oscuro/ con mucha
        paciencia/ durante la fiesta/ en la plaza mayor/ por la mañana temprano/ detrás del museo/ sobre la mesa"""),
    joints=_split("y/ pero/ porque/ mientras"))
_ITALIAN = _Words(
    openings=_split("Penso che/ Forse/ Dicono che/ Certo,/ Sappiamo che/ Stamattina/ Va bene,"),
    subjects=_split("""il panettiere/ mia sorella/ il nostro vicino/ la nonna/ un pittore famoso/ il vecchio pescatore/ la
        bambina/ il cane bruno/ una donna gentile/ il mio buon amico/ il pilota stanco/ la regina/ un musicista
        felice/ il lupo cattivo"""),
    verbs=_split("""compra/ cerca/ mostra/ apre/ vende/ guarda/ trova/ porta/ dimentica/ dipinge/ prepara/ lava/ muove/
        sposta/ prova/ spinge"""),
    objects=_split("""una barca gialla/ la casa bianca/ due mele verdi/ il libro rosso/ una montagna enorme/ cinque bottoni/
        pane e formaggio/ la luna piena/ un uovo fresco/ i fiori del giardino/ il ponte vecchio/ molti uccelli/
        una bella poesia"""),
    places=_split("""davanti alla porta/ sotto il ponte/ vicino al mare/ prima di pranzo/ nel bosco buio/ con molta pazienza/
        durante la festa/ in piazza/ a febbraio/ dietro il museo/ sopra il tavolo/ di buon mattino"""),
    joints=_split("e/ ma/ perché/ mentre"))
_DUTCH = _Words(
    openings=_split("Ik denk,/ Misschien:/ Ja,/ Nee,/ Weet je,/ Luister,/ Vanmorgen zei men:"),
    subjects=_split("""de bakker/ mijn zusje/ onze buurman/ de koningin/ een jonge schilder/ de oude visser/ het kleine meisje/
        de bruine hond/ een vriendelijke vrouw/ mijn beste vriend/ de vermoeide piloot/ papa/ een vrolijke
        muzikant/ de boze wolf"""),
    verbs=_split("""vond/ bracht/ kocht/ toonde/ opende/ verfde/ verkocht/ zocht/ bewaarde/ bekeek/ waste/ haalde/ proefde/
        verloor/ vergat/ duwde"""),
    objects=_split("""een gele boot/ de warme melk/ het mooie huis/ vijf blauwe bloemen/ het oude boek/ de groene brug/ twaalf
        appels/ een beker water/ de witte duif/ het houten paard/ een zoete peer/ veel bonte vogels/ een vel
        papier"""),
    places=_split("""voor de deur/ onder de brug/ bij de zee/ in de vroege morgen/ achter het museum/ in februari/ op de
        markt/ naast de muur/ zonder moeite/ boven op de berg/ tussen twee bomen"""),
    joints=_split("en/ maar/ want/ toen"))

LANGUAGES = {"de": _GERMAN, "fr": _FRENCH, "es": _SPANISH, "it": _ITALIAN, "nl": _DUTCH}
_MORE = "..!?"


def sentence(language: str, rng: np.random.Generator) -> str:
    """One grammatical, meaningless sentence.

    Args:
        language: of `LANGUAGES`.
    """
    words = LANGUAGES[language]

    def pick(parts: tuple[str, ...]) -> str:
        return parts[int(rng.integers(len(parts)))]

    def clause() -> str:
        return f"{pick(words.subjects)} {pick(words.verbs)} {pick(words.objects)}"

    line = clause()
    if rng.random() < .55:
        line += f" {pick(words.places)}"
    if rng.random() < .3:
        line += f", {pick(words.joints)} {clause()}"
    if rng.random() < .35:
        line = f"{pick(words.openings)} {line}"
    return line[0].upper() + line[1:] + _MORE[int(rng.integers(len(_MORE)))]
