"""Pictures of what residents and clerks see, for the guides.

    python -m pictures docs/pictures

Not part of what is checked for freshness: fonts differ between machines.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from browser_town import DESK, PHONE, Seen
from web_town import NOW

from hub.store.mandates import Mandates
from schemas.models.library import CatalogueRecordChanged

SHOWN = {"compte": "/compte", "liens": "/liens", "donnees": "/donnees/prets.html"}
"""Pages by the name of their picture."""
TITLES = {"42": "Le Comte de Monte-Cristo", "43": "Vingt mille lieues sous les mers"}
"""Of the works that are lent and kept ready."""
SIZES = {"phone": (PHONE, 844), "desk": (DESK, 800)}


def main(folder: Path) -> None:
    """Write a picture of each page, as it is on a telephone and at a desk."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as made, Seen(Path(made)) as seen:
        settle(seen)
        for name, page in SHOWN.items():
            for size, (width, height) in SIZES.items():
                seen.browser.looks(width, height)
                seen.visit(page)
                (folder / f"{name}-{size}.png").write_bytes(seen.browser.picture())


def settle(seen: Seen) -> None:
    """Make it an ordinary day: the tests' town has everything at once that a page can have to say."""
    seen.nothing_is_paused()
    Mandates(seen.town.store).end(seen.mandate, "agent", "agent", NOW)
    for number, title in TITLES.items():
        named = CatalogueRecordChanged(record_id=f"oai:{number}", local_id=number, title=title)
        seen.town.happens(named, f"oai_pmh:oai:{number}", "oai_pmh")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
