"""From an answer of the register to what a clerk may know of it: the code, and what diverges."""

from __future__ import annotations

from connectors.sources.civil_registry.rnipp.model import Answer
from hub.model.connector import Context, Mapped
from hub.model.errors import Unmappable
from hub.model.event import Fact
from schemas.models.civil_registry import Divergence, IdentificationAnswered

DIVERGENCES = {
    "DivergenceNom": Divergence.NAME,
    "DivergencePrenoms": Divergence.GIVEN_NAMES,
    "DivergenceSexe": Divergence.SEX,
    "DivergenceDateNaissance": Divergence.BIRTH_DATE,
    "DivergenceLieuNaissance": Divergence.BIRTH_PLACE,
    "DivergenceNIR": Divergence.NIR,
}


def answer(said: Answer, context: Context) -> Mapped:
    """Tell what the register answered; of several persons none is said to have died."""
    found = said.IdentificationIndividuCitoyen
    persons = [item.SituationActuelle.Individu for item in found if item.SituationActuelle is not None]
    if any(person.Noms is None or person.Noms.NomFamille is None for person in persons):
        raise Unmappable("a person without a family name", fields=("Individu.Noms.NomFamille",))
    if any(item.Divergences is None for item in found):
        # Silence is not agreement.
        raise Unmappable("a person without divergences", fields=("IdentificationIndividuCitoyen.Divergences",))
    payload = IdentificationAnswered(
        request_id=said.request_id,
        answer_code=said.TypeReponseIdentification,
        individuals=len(persons),
        deceased=len(persons) == 1 and persons[0].Deces is not None,
        divergences=tuple(
            divergence
            for name, divergence in DIVERGENCES.items()
            if any(item.Divergences is not None and getattr(item.Divergences, name) for item in found)
        ),
        valid_on=said.dateValidite,
    )
    return [Fact(payload, f"rnipp:{said.request_id}", context.read_at, said.request_id)]
