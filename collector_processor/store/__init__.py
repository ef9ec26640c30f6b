"""Where points, verdicts, models and the outbox live."""
