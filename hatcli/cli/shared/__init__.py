"""What several commands use: options, the console, models to be fetched."""
