"""Paths, bodies and fields of the API, written out from the contract."""

from typing import Final

TASKS, ONE_TASK = "/api/tasks", "/api/tasks/{task_id}"
COMPLETE: Final = f"{ONE_TASK}/complete"
SIGN_UP, LOG_IN, LOG_OUT = "/api/auth/signup", "/api/auth/login", "/api/auth/logout"
REFRESH, ME, VALIDATE = "/api/auth/refresh", "/api/auth/me", "/api/auth/session/validate"
USER, SESSIONS = "/api/users/me", "/api/users/me/sessions"
ONE_SESSION: Final = f"{SESSIONS}/{{session_id}}"

PASSWORD: Final = "correct horse battery"
LOGIN: Final = {"email": "ann@example.com", "password": PASSWORD}
WRONG_LOGIN: Final = {**LOGIN, "password": "wrong horse battery"}
TASK: Final = {"title": "Water the plants"}

USER_FIELDS: Final = ["id", "email", "name", "email_verified", "image", "created_at", "updated_at"]
SESSION_FIELDS: Final = [
    *("id", "created_at", "updated_at", "expires_at", "ip_address", "user_agent", "current")
]
SIGN_IN_FIELDS: Final = ["user", "session", "access_token", "token_type", "expires_in"]
PROBLEM_FIELDS: Final = {
    *("error_code", "message", "details", "type", "title", "status", "detail", "instance"),
    *("request_id", "timestamp"),
}
