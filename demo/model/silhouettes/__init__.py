"""The outlines of the garments.

Each function takes a `Jitter` and returns one sketch, its proportions varied around those it is
designed with. `demo.model.drawing` scales a sketch to fill the frame, so only proportions matter
here.
"""

from collections.abc import Callable

from demo.model.silhouettes.accessories import bag, hat, scarf, shoe, sock
from demo.model.silhouettes.lower_body import shorts, skirt, trousers
from demo.model.silhouettes.sketch import Jitter, Sketch
from demo.model.silhouettes.upper_body import coat, dress, shirt, sweater

SILHOUETTES: dict[str, Callable[[Jitter], Sketch]] = {
    "shirt": shirt,
    "sweater": sweater,
    "coat": coat,
    "dress": dress,
    "skirt": skirt,
    "trousers": trousers,
    "shorts": shorts,
    "hat": hat,
    "shoe": shoe,
    "sock": sock,
    "bag": bag,
    "scarf": scarf,
}
