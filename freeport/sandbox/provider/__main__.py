"""`python -m freeport.sandbox.provider`: serve until stopped. The settings come from the environment."""

import uvicorn

from freeport.sandbox.provider.api import create_app
from freeport.sandbox.provider.settings import ProviderSettings


def main() -> None:
    """Run the provider in this process."""
    settings = ProviderSettings.model_validate({})
    # Calls that hang on purpose would keep it from stopping.
    uvicorn.run(
        create_app(settings), host=settings.host, port=settings.port, log_level="warning", timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
