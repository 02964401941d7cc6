"""The API of Rampway as pydantic models; crds/ is generated from here."""
