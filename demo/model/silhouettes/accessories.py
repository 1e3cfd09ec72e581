"""Hats, shoes, socks, bags and scarves."""

import numpy as np

from demo.model.silhouettes.sketch import Jitter, Part, Sketch, Stroke, arc, bend, mirrored, points


def hat(j: Jitter) -> Sketch:
    """A crown with a ribbon on a wide brim."""
    crown, brim = j(0.25, 0.02), j(0.50, 0.03)
    top, base = j(0.05, 0.03), 0.45
    dip = j(0.05, 0.03)
    dome = mirrored(
        [
            *bend((0, top + dip), (crown * 0.4, top - 0.05), (crown * 0.75, top + 0.02)),
            *bend((crown * 0.75, top + 0.02), (crown * 0.98, top + 0.1), (crown, base)),
            *bend((crown, base), (crown * 0.5, base + 0.07), (0, base + 0.07)),
        ]
    )
    ribbon = np.array(
        bend((-crown * 0.985, base - 0.11), (0, base - 0.02), (crown * 0.985, base - 0.11))
        + bend((crown, base), (0, base + 0.13), (-crown, base))
    )
    return Sketch(
        [Part(arc((0, base + 0.01), (brim, j(0.125, 0.015)))), Part(dome), Part(ribbon, "inside")]
    )


def shoe(j: Jitter) -> Sketch:
    """A laced trainer from the side, on a pale sole."""
    length = j(1.0, 0.05)
    collar = j(0.1, 0.02)
    upper = np.array(
        [
            *bend((0.02, 0.42), (-0.02, 0.2), (0.03, collar - 0.04)),
            *bend((0.03, collar - 0.04), (0.17, 0.2), (0.33, collar - 0.06)),
            (0.40, collar - 0.06),
            *bend((0.40, collar - 0.06), (0.52, 0.26), (0.72, 0.28)),
            *bend((0.72, 0.28), (length, 0.3), (length, 0.42)),
        ]
    )
    sole = np.array(
        [
            (-0.01, 0.41),
            (length + 0.01, 0.41),
            *bend((length + 0.01, 0.41), (length + 0.02, 0.5), (length - 0.06, 0.51)),
            (0.03, 0.51),
            *bend((0.03, 0.51), (-0.03, 0.5), (-0.01, 0.41)),
        ]
    )
    toe = np.array(
        [
            *bend((length - 0.2, 0.41), (length - 0.2, 0.31), (length - 0.14, 0.305)),
            *bend((length - 0.14, 0.305), (length, 0.33), (length, 0.41)),
        ]
    )
    laces = [
        Stroke(
            points((0.41 + 0.06 * i, 0.12 + 0.045 * i), (0.34 + 0.06 * i, 0.2 + 0.035 * i)), 0.018
        )
        for i in range(4)
    ]
    seams = [Stroke(np.array(bend((0.3, 0.06), (0.33, 0.3), (0.55, 0.41)))), *laces]
    return Sketch([Part(upper), Part(toe, "trim"), Part(sole, "metal")], seams=seams)


def sock(j: Jitter) -> Sketch:
    """A leg and a foot, with cuff, heel and toe in the trim."""
    leg, ankle = j(0.29, 0.02), j(0.62, 0.05)
    foot = j(0.68, 0.05)
    outline = np.array(
        [
            (0, 0),
            (leg, 0),
            *bend((leg, 0.0), (leg - 0.03, ankle * 0.6), (leg + 0.01, ankle)),
            *bend((leg + 0.01, ankle), (leg + 0.1, ankle + 0.06), (foot - 0.1, ankle + 0.07)),
            *bend((foot - 0.1, ankle + 0.07), (foot + 0.05, ankle + 0.1), (foot, ankle + 0.22)),
            *bend((foot, ankle + 0.22), (foot - 0.03, ankle + 0.31), (foot - 0.2, ankle + 0.31)),
            (0.2, ankle + 0.31),
            *bend((0.2, ankle + 0.31), (-0.03, ankle + 0.3), (0.0, ankle + 0.1)),
        ]
    )
    cuff = points((-0.012, 0), (leg + 0.012, 0), (leg + 0.005, 0.12), (-0.005, 0.12))
    heel = np.array(
        [
            (0.0, ankle + 0.06),
            *bend((0.0, ankle + 0.06), (0.16, ankle + 0.14), (0.17, ankle + 0.31)),
            *bend((0.17, ankle + 0.31), (-0.04, ankle + 0.3), (0.0, ankle + 0.06)),
        ]
    )
    toe = np.array(
        [
            *bend(
                (foot - 0.13, ankle + 0.07), (foot - 0.2, ankle + 0.18), (foot - 0.14, ankle + 0.31)
            ),
            *bend(
                (foot - 0.14, ankle + 0.31), (foot + 0.0, ankle + 0.3), (foot + 0.005, ankle + 0.2)
            ),
            *bend(
                (foot + 0.005, ankle + 0.2), (foot + 0.02, ankle + 0.1), (foot - 0.13, ankle + 0.07)
            ),
        ]
    )
    return Sketch([Part(outline), Part(cuff, "trim"), Part(heel, "trim"), Part(toe, "trim")])


def bag(j: Jitter) -> Sketch:
    """A handbag: a flap with a clasp under a high round handle."""
    top, bottom = j(0.34, 0.025), j(0.43, 0.025)
    height = j(0.52, 0.04)
    handle = j(0.23, 0.02)
    rise = j(0.36, 0.04)
    body = mirrored(
        [
            (0, 0),
            (top, 0),
            (bottom, height - 0.06),
            *bend((bottom, height - 0.06), (bottom, height), (bottom - 0.07, height)),
            (0, height),
        ]
    )
    drop = height * j(0.48, 0.05)
    flap = mirrored([(0, 0), (top, 0), *bend((top + 0.02, 0.08), (top, drop), (0, drop))])
    clasp = arc((0, drop - 0.01), (0.035, 0.035), n=20)
    straps = [Stroke(arc((0, 0.02), (handle, rise), start=180), 0.05)]
    return Sketch([Part(body), Part(flap), Part(clasp, "metal")], behind=straps)


def scarf(j: Jitter) -> Sketch:
    """A loop round an absent neck, with two fringed ends of different length."""
    long_end, short_end = j(1.02, 0.05), j(0.78, 0.05)
    wide = j(0.24, 0.02)
    loop = np.concatenate([arc((0, 0.16), (0.31, 0.19)), arc((0, 0.12), (0.19, 0.085))[::-1]])
    fringe: list[Stroke] = []
    tails: list[Part] = []
    for side, end in ((-1, short_end), (1, long_end)):
        left, right = sorted((side * 0.02, side * (0.02 + wide)))
        lean = side * j(0.04, 0.03)
        tail = points((left, 0.25), (right, 0.25), (right + lean, end), (left + lean, end))
        edge = tail[2:]
        border = np.concatenate([edge + np.array((0, -0.08)), edge[::-1]])
        tails += [Part(tail), Part(border, "trim")]
        fringe += [
            Stroke(points((x, end - 0.02), (x, end + 0.08)), 0.012)
            for x in np.linspace(left + lean + 0.012, right + lean - 0.012, 7)
        ]
    knot = Part(arc((0, 0.32), (0.12, 0.09)), "fabric")
    return Sketch([*tails, Part(loop), knot], behind=fringe)
