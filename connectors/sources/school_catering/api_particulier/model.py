"""What API Particulier answers, as far as the city may keep it.

Names, dates of birth, addresses and scholarships are in the same answers: they are not read, whatever their shape.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hub.model.errors import VendorError

ABSENT = frozenset({"30003", "37003"})
"""Codes of errors that are final: the provider has no such family, or no such pupil."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class _Answer(_Strict):
    @model_validator(mode="before")
    @classmethod
    def _refused(cls, answer: Any) -> Any:
        """Tell an error from a malformed answer; what is not below `data` is of version 2."""
        if not isinstance(answer, dict):
            return answer
        if "errors" in answer or "error" in answer:
            errors = answer.get("errors")
            codes = (
                [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
            )
            if any(code in ABSENT for code in codes if isinstance(code, str)):
                raise VendorError("the provider has no such file", fields=("errors.*.code",))
            raise VendorError("an error in place of an answer", fields=("errors",))
        return answer.get("data", answer)


class Quotient(_Strict):
    """The quotient, which goes no further than to its band."""

    valeur: Annotated[int, Field(ge=0, lt=1_000_000)]


class QuotientFamilial(_Answer):
    """The answer about a family."""

    quotient_familial: Quotient

    @model_validator(mode="before")
    @classmethod
    def _version_2(cls, answer: Any) -> Any:
        """Read version 2, which has the number at the top."""
        if isinstance(answer, dict) and "quotientFamilial" in answer:
            return {"quotient_familial": {"valeur": answer["quotientFamilial"]}}
        return answer


class Scolarite(_Answer):
    """The answer about a pupil."""

    annee_scolaire: str = Field(pattern=r"^20[0-9]{2}(-20[0-9]{2})?$")
    """`2025-2026`, or its first year alone."""
    est_scolarise: bool
