"""Garments that hang from the shoulders."""

import numpy as np

from demo.model.silhouettes.sketch import (
    Jitter,
    Part,
    Sketch,
    Stroke,
    band,
    bend,
    buttons,
    mirrored,
    points,
)


def shirt(j: Jitter) -> Sketch:
    """Short sleeves that stand off; a round neck, or a collar with buttons."""
    hem = j(0.96, 0.05)
    body = j(0.25, 0.02)
    sleeve_x, sleeve_y = j(0.50, 0.03), j(0.27, 0.03)
    neck = j(0.11, 0.015)
    depth = j(0.12, 0.03)
    outline = mirrored(
        [
            *bend((0, depth), (neck * 0.9, depth * 0.9), (neck, 0.02)),
            (0.23, 0.06),
            (sleeve_x, sleeve_y),
            (sleeve_x - 0.10, sleeve_y + 0.13),
            (body, 0.29),
            *bend((body, 0.29), (body - 0.01, 0.6), (body + j(0.005, 0.015), hem)),
            (0, hem + 0.01),
        ]
    )
    seams = [Stroke(points((side * 0.235, 0.07), (side * (body - 0.01), 0.29))) for side in (-1, 1)]
    back = Part(
        np.array(
            bend((-neck, 0.02), (0, 0.06), (neck, 0.02))
            + bend((neck, 0.02), (0, depth * 1.9), (-neck, 0.02))
        ),
        "inside",
    )
    parts = [back, Part(outline)]
    if j.chance(0.5):
        collar = points((0.01, depth), (neck, 0.0), (neck + 0.05, 0.05), (0.09, depth + 0.07))
        parts += [Part(collar, "trim"), Part(collar * (-1, 1), "trim")]
        parts += buttons(0, top=depth + 0.1, bottom=hem - 0.1, count=5, radius=0.013)
        seams.append(Stroke(points((0.035, depth), (0.035, hem))))
    else:
        ring = [
            *bend((-neck, 0.02), (0, depth * 2.05), (neck, 0.02)),
            *bend((neck + 0.03, 0.025), (0, depth * 2.05 + 0.06), (-neck - 0.03, 0.025)),
        ]
        parts.append(Part(np.array(ring), "trim"))
    return Sketch(parts, seams=seams)


def sweater(j: Jitter) -> Sketch:
    """Long sleeves hanging beside the body, cuffs and a ribbed hem."""
    hem = j(0.84, 0.04)
    body = j(0.24, 0.015)
    cuff_x, cuff_y = j(0.47, 0.03), j(0.83, 0.05)
    width = j(0.115, 0.01)
    neck = j(0.11, 0.01)
    outline = mirrored(
        [
            *bend((0, 0.07), (neck, 0.07), (neck, 0.01)),
            (0.22, 0.05),
            *bend((0.22, 0.05), (0.33, 0.12), (cuff_x, cuff_y)),
            (cuff_x - width, cuff_y + 0.02),
            (body, 0.36),
            (body, hem),
            (0, hem),
        ]
    )
    cuff = points(
        (cuff_x + 0.005, cuff_y),
        (cuff_x - width - 0.005, cuff_y + 0.02),
        (cuff_x - width, cuff_y + 0.09),
        (cuff_x, cuff_y + 0.07),
    )
    rib = band(body, top=hem - 0.01, height=0.08, growth=-0.02)
    ring = np.array(
        bend((-neck, 0.01), (0, 0.13), (neck, 0.01))
        + bend((neck + 0.035, 0.015), (0, 0.23), (-neck - 0.035, 0.015))
    )
    seams = [Stroke(points((s * 0.225, 0.06), (s * body, 0.36))) for s in (-1, 1)]
    seams += [
        Stroke(points((x, hem), (x, hem + 0.065)))
        for x in np.linspace(-body + 0.04, body - 0.04, 9)
    ]
    parts = [Part(outline), Part(cuff, "trim"), Part(cuff * (-1, 1), "trim")]
    return Sketch([*parts, Part(rib, "trim"), Part(ring, "trim")], seams=seams)


def coat(j: Jitter) -> Sketch:
    """Knee-long and buttoned, with lapels, a belt and long sleeves."""
    hem = j(1.28, 0.06)
    flare = j(0.33, 0.03)
    cuff_x, cuff_y = j(0.42, 0.02), j(0.74, 0.03)
    waist = j(0.205, 0.01)
    outline = mirrored(
        [
            (0, 0.06),
            (0.09, 0.0),
            (0.21, 0.06),
            *bend((0.21, 0.06), (0.31, 0.12), (cuff_x, cuff_y)),
            (cuff_x - 0.12, cuff_y + 0.03),
            (0.225, 0.34),
            (waist, 0.56),
            *bend((waist, 0.56), (flare - 0.05, 0.8), (flare, hem)),
            (0, hem + 0.01),
        ]
    )
    lapel = points((0.0, 0.42), (0.075, 0.0), (0.14, 0.03), (0.17, 0.2), (0.11, 0.22))
    belt = band(waist + 0.01, top=j(0.57, 0.015) - 0.035, height=0.07)
    shadow = points((0, 0.42), (-0.08, 0.0), (0.08, 0.0))
    parts = [Part(outline), Part(shadow, "inside"), Part(lapel, "trim")]
    parts += [Part(lapel * (-1, 1), "trim"), Part(belt, "inside")]
    for x in (-0.06, 0.06):
        parts += buttons(x, top=0.68, bottom=hem - 0.22, count=3, radius=0.018)
    seams = [Stroke(points((0.0, 0.42), (0.0, hem)))]
    seams += [Stroke(points((s * 0.215, 0.08), (s * 0.225, 0.34))) for s in (-1, 1)]
    return Sketch(parts, seams=seams)


def dress(j: Jitter) -> Sketch:
    """Straps, a narrow waist and a wide skirt."""
    hem = j(1.08, 0.05)
    flare = j(0.40, 0.04)
    waist = j(0.115, 0.012)
    waist_y = j(0.42, 0.02)
    outline = mirrored(
        [
            *bend((0, j(0.16, 0.02)), (0.07, 0.15), (0.08, 0.0)),
            (0.125, 0.0),
            *bend((0.125, 0.0), (0.11, 0.15), (0.175, 0.2)),
            *bend((0.175, 0.2), (0.15, 0.33), (waist, waist_y)),
            *bend((waist, waist_y), (flare * 0.62, 0.62), (flare, hem)),
            *bend((flare, hem), (flare * 0.5, hem + 0.06), (0, hem + 0.06)),
        ]
    )
    belt = band(waist + 0.004, top=waist_y - 0.022, height=0.044)
    seams = [
        Stroke(np.array(bend((x * waist, waist_y + 0.05), (x * 0.2, 0.7), (x * flare, hem - 0.02))))
        for x in (-0.55, 0.0, 0.55)
    ]
    return Sketch([Part(outline), Part(belt, "trim")], seams=seams)
