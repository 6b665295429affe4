"""The service as tutorials write it: SQLModel, a session per request, PyJWT, sync routes.

With one improvement: a pool of 40 connections. The default pool hangs under this load.
"""

import os
from datetime import UTC, datetime
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Column, DateTime
from sqlmodel import Field, Session, SQLModel, create_engine, func, select

engine = create_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"),
    pool_size=40,
    max_overflow=0,
)
app = FastAPI()
bearer = HTTPBearer()


class TutorialTask(SQLModel, table=True):
    __tablename__ = "tutorial_task"

    id: int | None = Field(default=None, primary_key=True)
    user_id: str = Field(index=True)
    title: str = Field(max_length=200)
    description: str | None = Field(default=None, max_length=1000)
    status: str = "Pending"
    created_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_column=Column(DateTime(timezone=True))
    )
    updated_at: datetime = Field(
        default_factory=lambda: datetime.now(UTC), sa_column=Column(DateTime(timezone=True))
    )


class NewTask(SQLModel):
    title: str = Field(min_length=1, max_length=200)
    description: str | None = Field(default=None, max_length=1000)


class TaskUpdate(SQLModel):
    title: str | None = Field(default=None, max_length=200)
    status: str | None = None


class TaskList(SQLModel):
    data: list[TutorialTask]
    total: int


def get_session():
    with Session(engine) as session:
        yield session


def get_user_id(credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> str:
    try:
        claims = jwt.decode(
            credentials.credentials, os.environ["BETTER_AUTH_SECRET"], algorithms=["HS256"]
        )
    except jwt.PyJWTError:
        raise HTTPException(401) from None
    return claims["sub"]


SessionDep = Annotated[Session, Depends(get_session)]
UserId = Annotated[str, Depends(get_user_id)]


def get_own(session: Session, user_id: str, task_id: int) -> TutorialTask:
    task = session.get(TutorialTask, task_id)
    if task is None or task.user_id != user_id:
        raise HTTPException(404)
    return task


@app.get("/api/tasks", response_model=TaskList)
def list_tasks(session: SessionDep, user_id: UserId, page: int = 1, limit: int = 50):
    mine = select(TutorialTask).where(TutorialTask.user_id == user_id)
    total = session.exec(select(func.count()).select_from(mine.subquery())).one()
    newest = mine.order_by(TutorialTask.created_at.desc())
    tasks = session.exec(newest.offset((page - 1) * limit).limit(limit)).all()
    return TaskList(data=tasks, total=total)


@app.get("/api/tasks/{task_id}", response_model=TutorialTask)
def get_task(session: SessionDep, user_id: UserId, task_id: int):
    return get_own(session, user_id, task_id)


@app.post("/api/tasks", response_model=TutorialTask, status_code=201)
def create_task(session: SessionDep, user_id: UserId, body: NewTask):
    task = TutorialTask.model_validate(body, update={"user_id": user_id})
    session.add(task)
    session.commit()
    session.refresh(task)
    return task


@app.put("/api/tasks/{task_id}", response_model=TutorialTask)
def update_task(session: SessionDep, user_id: UserId, task_id: int, body: TaskUpdate):
    task = get_own(session, user_id, task_id)
    task.sqlmodel_update(body.model_dump(exclude_unset=True))
    task.updated_at = datetime.now(UTC)
    session.add(task)
    session.commit()
    session.refresh(task)
    return task
