"""Garments that hang from the waist."""

import numpy as np

from demo.model.silhouettes.sketch import Jitter, Part, Sketch, Stroke, band, bend, mirrored, points


def skirt(j: Jitter) -> Sketch:
    """A waistband and a short wide fall with folds."""
    waist = j(0.19, 0.02)
    hem = j(0.62, 0.05)
    flare = j(0.47, 0.04)
    outline = mirrored(
        [
            (0, 0.05),
            (waist, 0.05),
            *bend((waist, 0.05), (waist + 0.12, 0.2), (flare, hem)),
            *bend((flare, hem), (flare * 0.5, hem + 0.09), (0, hem + 0.09)),
        ]
    )
    waistband = band(waist, top=0, height=0.08, growth=0.01)
    seams = [
        Stroke(np.array(bend((x * waist, 0.08), (x * 0.32, 0.3), (x * flare, hem + 0.05))))
        for x in (-0.66, -0.33, 0.0, 0.33, 0.66)
    ]
    return Sketch([Part(outline), Part(waistband, "trim")], seams=seams)


def trousers(j: Jitter) -> Sketch:
    """Two long legs."""
    waist = j(0.23, 0.012)
    hem = j(1.12, 0.06)
    outer = j(0.30, 0.025)
    leg = j(0.20, 0.02)
    crotch = j(0.37, 0.02)
    outline = mirrored(
        [
            (0, 0.03),
            (waist, 0.03),
            *bend((waist, 0.03), (0.285, 0.2), (0.275, 0.36)),
            (outer, hem),
            (outer - leg, hem + 0.01),
            (0.012, crotch),
            (0, crotch),
        ]
    )
    waistband = band(waist, top=0, height=0.065, growth=0.006)
    seams = [Stroke(points((0, 0.07), (0, crotch)))]
    seams += [
        Stroke(np.array(bend((s * 0.14, 0.07), (s * 0.16, 0.17), (s * 0.26, 0.18))))
        for s in (-1, 1)
    ]
    return Sketch([Part(outline), Part(waistband, "trim")], seams=seams)


def shorts(j: Jitter) -> Sketch:
    """Two short wide legs."""
    waist = j(0.25, 0.015)
    hem = j(0.55, 0.035)
    outer = j(0.38, 0.03)
    inner = j(0.06, 0.015)
    crotch = j(0.31, 0.02)
    outline = mirrored(
        [
            (0, 0.03),
            (waist, 0.03),
            *bend((waist, 0.03), (0.31, 0.2), (outer, hem)),
            (inner, hem + 0.04),
            (0.008, crotch),
            (0, crotch),
        ]
    )
    waistband = band(waist, top=0, height=0.07, growth=0.01)
    seams = [Stroke(points((0, 0.07), (0, crotch)))]
    seams += [
        Stroke(np.array(bend((s * 0.15, 0.07), (s * 0.18, 0.18), (s * 0.29, 0.19))))
        for s in (-1, 1)
    ]
    return Sketch([Part(outline), Part(waistband, "trim")], seams=seams)
