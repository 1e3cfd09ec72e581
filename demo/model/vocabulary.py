"""English and French words for the demo's drawings, and for asking after them.

Singular and plural are written out: there are few, and rules for two languages would be longer.
"""

from typing import NamedTuple


class Noun(NamedTuple):
    """A name for one kind of garment."""

    singular: str
    plural: str
    feminine: bool = False
    """Grammatical gender, which French adjectives follow; without meaning in English."""


class Adjective(NamedTuple):
    """A French adjective in the forms that agree with the noun."""

    masculine: str
    feminine: str
    masculine_plural: str
    feminine_plural: str

    def agreeing(self, *, feminine: bool, plural: bool) -> str:
        """The form for a noun of this gender and number."""
        if plural:
            return self.feminine_plural if feminine else self.masculine_plural
        return self.feminine if feminine else self.masculine


def _regular(masculine: str, feminine: str | None = None) -> Adjective:
    feminine = feminine or masculine
    return Adjective(masculine, feminine, f"{masculine}s", f"{feminine}s")


def _invariable(word: str) -> Adjective:
    return Adjective(word, word, word, word)


ENGLISH_NOUNS: dict[str, tuple[Noun, ...]] = {
    "shirt": (
        Noun("shirt", "shirts"),
        Noun("t-shirt", "t-shirts"),
        Noun("tee", "tees"),
        Noun("tshirt", "tshirts"),
        Noun("tee shirt", "tee shirts"),
    ),
    "sweater": (
        Noun("sweater", "sweaters"),
        Noun("jumper", "jumpers"),
        Noun("pullover", "pullovers"),
    ),
    "coat": (Noun("coat", "coats"), Noun("overcoat", "overcoats"), Noun("jacket", "jackets")),
    "dress": (Noun("dress", "dresses"), Noun("gown", "gowns")),
    "skirt": (Noun("skirt", "skirts"),),
    "trousers": (
        Noun("trousers", "trousers"),
        Noun("pants", "pants"),
        Noun("pair of trousers", "pairs of trousers"),
    ),
    "shorts": (Noun("shorts", "shorts"), Noun("pair of shorts", "pairs of shorts")),
    "hat": (Noun("hat", "hats"), Noun("sun hat", "sun hats")),
    "shoe": (
        Noun("shoe", "shoes"),
        Noun("sneaker", "sneakers"),
        Noun("trainer", "trainers"),
        Noun("pair of shoes", "pairs of shoes"),
    ),
    "sock": (Noun("sock", "socks"), Noun("pair of socks", "pairs of socks")),
    "bag": (Noun("bag", "bags"), Noun("handbag", "handbags"), Noun("purse", "purses")),
    "scarf": (Noun("scarf", "scarves"), Noun("scarf", "scarfs")),
}
"""A short-sleeved top is a "shirt" to some shops and a "t-shirt" to others. One drawing carries all
these names, so that "red shirt" and "t-shirt rouge" find the same products."""

FRENCH_NOUNS: dict[str, tuple[Noun, ...]] = {
    "shirt": (
        Noun("t-shirt", "t-shirts"),
        Noun("tee-shirt", "tee-shirts"),
        Noun("chemise", "chemises", feminine=True),
    ),
    "sweater": (
        Noun("pull", "pulls"),
        Noun("chandail", "chandails"),
        Noun("pull-over", "pull-overs"),
    ),
    "coat": (Noun("manteau", "manteaux"), Noun("veste", "vestes", feminine=True)),
    "dress": (Noun("robe", "robes", feminine=True),),
    "skirt": (Noun("jupe", "jupes", feminine=True),),
    "trousers": (Noun("pantalon", "pantalons"),),
    "shorts": (Noun("short", "shorts"), Noun("bermuda", "bermudas")),
    "hat": (Noun("chapeau", "chapeaux"),),
    "shoe": (
        Noun("chaussure", "chaussures", feminine=True),
        Noun("basket", "baskets", feminine=True),
        Noun("paire de chaussures", "paires de chaussures", feminine=True),
    ),
    "sock": (
        Noun("chaussette", "chaussettes", feminine=True),
        Noun("paire de chaussettes", "paires de chaussettes", feminine=True),
    ),
    "bag": (Noun("sac", "sacs"), Noun("sac à main", "sacs à main")),
    "scarf": (Noun("écharpe", "écharpes", feminine=True), Noun("foulard", "foulards")),
}

ENGLISH_COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red",),
    "orange": ("orange",),
    "yellow": ("yellow",),
    "green": ("green",),
    "blue": ("blue",),
    "purple": ("purple", "violet"),
    "pink": ("pink",),
    "brown": ("brown",),
    "black": ("black",),
    "white": ("white",),
}

FRENCH_COLOURS: dict[str, tuple[Adjective, ...]] = {
    "red": (_regular("rouge"),),
    "orange": (_invariable("orange"),),
    "yellow": (_regular("jaune"),),
    "green": (_regular("vert", "verte"),),
    "blue": (_regular("bleu", "bleue"),),
    "purple": (_regular("violet", "violette"),),
    "pink": (_regular("rose"),),
    "brown": (_invariable("marron"), _regular("brun", "brune")),
    "black": (_regular("noir", "noire"),),
    "white": (_regular("blanc", "blanche"),),
}

ENGLISH_PATTERN_ADJECTIVES: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid"),
    "striped": ("striped", "stripy"),
    "dotted": ("dotted", "polka dot", "spotted"),
    "checked": ("checked", "checkered", "plaid", "gingham"),
}

ENGLISH_PATTERN_PHRASES: dict[str, tuple[str, ...]] = {
    "plain": ("without pattern",),
    "striped": ("with stripes",),
    "dotted": ("with dots", "with polka dots"),
    "checked": ("with checks",),
}

FRENCH_PATTERN_ADJECTIVES: dict[str, Adjective] = {
    "plain": _regular("uni", "unie"),
    "striped": Adjective("rayé", "rayée", "rayés", "rayées"),
}

FRENCH_PATTERN_PHRASES: dict[str, tuple[str, ...]] = {
    "plain": ("sans motif",),
    "striped": ("à rayures",),
    "dotted": ("à pois",),
    "checked": ("à carreaux",),
}

CATEGORY_GARMENTS: dict[str, tuple[str, ...]] = {
    "clothing": ("shirt", "sweater", "coat", "dress", "skirt", "trousers", "shorts"),
    "shoes": ("shoe",),
    "accessories": ("hat", "sock", "bag", "scarf"),
}
"""The shop's categories and the garments in each."""

CATEGORY_WORDS: dict[str, tuple[str, ...]] = {
    "clothing": ("clothing", "clothes", "vêtements", "vêtement"),
    "shoes": ("footwear",),
    "accessories": ("accessories", "accessory", "accessoires", "accessoire"),
}

ENGLISH_FRAMES = (
    "a photo of {a}",
    "a picture of {a}",
    "photo of {a}",
    "an image of {a}",
    "this is {a}",
    "i am looking for {a}",
    "looking for {a}",
    "i want {a}",
    "do you have {a}?",
    "show me {a}",
    "where can i buy {a}",
    "{a}",
    "{a}.",
    "the {}",
    "my {}",
    "some {}",
    "new {}",
    "a nice {}",
    "cheap {}",
    "beautiful {}",
    "{} for women",
    "{} for men",
    "{} for kids",
    "{} for summer",
    "{} for sale",
    "{} in cotton",
    "{} on sale",
    "{}, please",
    "{}!",
    "{}?",
    "{} size m",
    "buy {} online",
)
"""Words around the description that say nothing of the picture, so that the model learns to pass
over them. {} is the description alone, {a} with its indefinite article."""
FRENCH_FRAMES = (
    "une photo d'{a}",
    "une image d'{a}",
    "photo de {}",
    "voici {a}",
    "je cherche {a}",
    "je voudrais {a}",
    "je veux {a}",
    "avez-vous {a} ?",
    "montrez-moi {a}",
    "où acheter {a}",
    "{a}",
    "{a}.",
    "{} pas cher",
    "{} pour femme",
    "{} pour homme",
    "{} pour enfant",
    "{} d'été",
    "{} en coton",
    "{} en solde",
    "{}, s'il vous plaît",
    "{} !",
    "acheter {}",
    "{} taille m",
)
