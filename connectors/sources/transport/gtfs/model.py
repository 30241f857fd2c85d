"""Tables of a publication, as far as they are read; columns come in any order, and more of them than are known."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hub.model.errors import Invalid

Id = Annotated[str, Field(min_length=1, max_length=150)]
Text = Annotated[str, Field(max_length=300)]
Degrees = Annotated[float | None, BeforeValidator(lambda value: None if value == "" else value)]
Day = Annotated[str, Field(pattern="^20[0-9]{6}$")]
Flag = Annotated[str, Field(pattern="^[01]$")]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class _Table(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _columns(cls, table: Any) -> Any:
        needed = cls.needed()
        if isinstance(table, dict) and isinstance(table.get("columns"), list):
            missing = [name for name in needed if name not in table["columns"]]
            if missing:
                raise Invalid("a column is missing", fields=tuple(missing))
        return table

    @classmethod
    def needed(cls) -> tuple[str, ...]:
        """Name the columns without which the table is not one."""
        return ()


class Line(_Row):
    """A row of `routes.txt`."""

    route_id: Id
    agency_id: Text = ""
    route_short_name: Text = ""
    route_long_name: Text = ""
    route_type: Text = ""


class Lines(_Table):
    """`routes.txt`."""

    rows: list[Line] = Field(max_length=20_000)

    @classmethod
    def needed(cls) -> tuple[str, ...]:
        """Name the id."""
        return ("route_id",)


class Stop(_Row):
    """A row of `stops.txt`."""

    stop_id: Id
    stop_name: Text = ""
    stop_lat: Degrees = None
    stop_lon: Degrees = None


class Stops(_Table):
    """`stops.txt`."""

    rows: list[Stop] = Field(max_length=100_000)

    @classmethod
    def needed(cls) -> tuple[str, ...]:
        """Name the id."""
        return ("stop_id",)


class Service(_Row):
    """A row of `calendar.txt`, or of `calendar_dates.txt`."""

    service_id: Id
    date: Day | None = None
    exception_type: Annotated[str, Field(pattern="^[12]$")] | None = None
    monday: Flag = "0"
    tuesday: Flag = "0"
    wednesday: Flag = "0"
    thursday: Flag = "0"
    friday: Flag = "0"
    saturday: Flag = "0"
    sunday: Flag = "0"
    start_date: Day | None = None
    end_date: Day | None = None

    @property
    def days(self) -> str:
        """Return what the row says of its service."""
        if self.date is not None:
            return f"{'+' if self.exception_type == '1' else '-'}{self.date}"
        week = "".join(getattr(self, name) for name in WEEKDAYS)
        return f"{week} {self.start_date} {self.end_date}"


class Services(_Table):
    """`calendar.txt` or `calendar_dates.txt`."""

    rows: list[Service] = Field(max_length=200_000)

    @classmethod
    def needed(cls) -> tuple[str, ...]:
        """Name the id."""
        return ("service_id",)
