"""`/v1/models`: the one model this server serves."""

from __future__ import annotations

from fastapi import APIRouter, Request

from app.dependencies import SettingsDep
from app.errors import NotFoundError
from app.schemas.errors import ErrorEnvelope
from app.schemas.models import Model, ModelList
from app.settings import Settings

router = APIRouter(prefix="/v1/models", tags=["models"], responses={"default": {"model": ErrorEnvelope}})


def check_model(model: str, settings: Settings) -> None:
    if model != settings.model:
        raise NotFoundError(
            f"The model '{model[:100]}' does not exist. This server serves '{settings.model}'.",
            param="model",
            code="model_not_found",
        )


def _model(request: Request, settings: Settings) -> Model:
    return Model(id=settings.model, object="model", created=request.app.state.created, owned_by="bodkin")


@router.get("")
async def list_models(request: Request, settings: SettingsDep) -> ModelList:
    return ModelList(object="list", data=[_model(request, settings)])


@router.get("/{model:path}")
async def retrieve_model(model: str, request: Request, settings: SettingsDep) -> Model:
    check_model(model, settings)
    return _model(request, settings)
