"""`/v1/models`: the models this server serves."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from app.dependencies import EnginesDep
from app.schemas.errors import ErrorEnvelope
from app.schemas.models import Model, ModelList

router = APIRouter(prefix="/v1/models", tags=["models"], responses={"default": {"model": ErrorEnvelope}})


@router.get("")
async def list_models(engines: EnginesDep) -> ModelList:
    """The models that can be named in requests, the default one first."""
    return ModelList(object="list", data=[_model(name, created) for name, created in engines.listing().items()])


@router.get("/{model:path}")
async def retrieve_model(model: str, engines: EnginesDep) -> Model:
    """One of them."""
    if not model:
        raise HTTPException(404)  # `/v1/models/`
    created = engines.listing().get(model)
    if created is None:
        raise engines.refusal(model)
    return _model(model, created)


def _model(name: str, created: int) -> Model:
    return Model(id=name, object="model", created=created, owned_by="bodkin")
