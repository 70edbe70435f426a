"""`landscape serve`: the API and the page alone."""

import os

from .common import Broker, Data, Host, Port, report, settings_from, with_clear_errors


def serve(data: Data = None, host: Host = None, port: Port = None, broker: Broker = None) -> None:
    """Start the API and the page alone; the broker and the workers are started separately."""
    from .server import run

    settings = settings_from(data=data, host=host, port=port, broker=broker)
    with with_clear_errors():
        from ..access.bootstrap import address, startup_messages
        from ..data_folder import open_data_folder
        from ..database.sessions import Database

        open_data_folder(settings)
        for line in startup_messages(Database(settings.database_url), settings):
            report(line)
        report(f"Loss Landscape will be at {address(settings)}")
    os.environ.update(settings.environment())  # the application is created from them
    run(settings)
