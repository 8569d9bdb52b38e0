"""`python -m freeport.sandbox.market`: the marketplace on its own port."""

import uvicorn

from freeport.sandbox.market.app import create_app
from freeport.sandbox.market.settings import Settings

if __name__ == "__main__":
    settings = Settings()  # pyright: ignore[reportCallIssue] (the environment fills what has no default)
    uvicorn.run(create_app(settings), host=settings.host, port=settings.port, log_level="warning")
